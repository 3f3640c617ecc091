"""The messages that the documentation explains are those that the code and Airflow print."""

import importlib.util
import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowException, Connection, TaskDeferred

from airflow_pixverse.api.accounts import account_problems
from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import (
    PixverseFatalError,
    PixverseLinkExpiredError,
    error_for_status,
    unknown_outcome,
)
from airflow_pixverse.api.http.network_errors import Failure
from airflow_pixverse.api.media import MediaClient
from airflow_pixverse.api.scheduler import AccountCapacity, Capacity, obstacles
from airflow_pixverse.api.service import Service
from airflow_pixverse.hooks import lookup
from airflow_pixverse.hooks.connection import client_from_connection
from airflow_pixverse.journal import SubmitRecord
from airflow_pixverse.operators.pixverse import PixverseCancelOperator, PixverseSubmitOperator
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.simulator import Simulator, faults
from airflow_pixverse.storage.destination import Destination
from airflow_pixverse.storage.download import Download
from airflow_pixverse.storage.errors import StorageError
from airflow_pixverse.storage.paths import object_path
from airflow_pixverse.storage.upload import source_of
from airflow_pixverse.submission.delivery import Delivery
from airflow_pixverse.submission.errors import UnsettledError
from airflow_pixverse.submission.triggerer_waits import TriggererWaits
from airflow_pixverse.triggerer.occupancy import Occupancy
from tests.documents import DOCS, inline_code, tables

TROUBLESHOOTING = DOCS / "troubleshooting.md"


def message_of(**fields):
    """Return the message for a connection that cannot be used."""
    values = {"conn_type": "pixverse", "password": "user:1-abc"} | fields
    with pytest.raises(PixverseFatalError) as caught:
        client_from_connection(Connection(conn_id="pixverse_default", **values))
    return str(caught.value)


def troubles_of_an_account():
    with Simulator({"a@example.com": 1}) as simulator:
        simulator.set_pending_error("a@example.com", "log in again")
        [trouble] = account_problems(PixverseClient(simulator.token, simulator.url))
    return trouble


def message_of_job_id(job_id):
    with pytest.raises(ValueError, match="job_id") as caught:
        PixverseCancelOperator(task_id="cancel", job_id=job_id)
    return str(caught.value)


def messages_of_storage(folder):
    """Return the message for files that cannot be uploaded, downloaded or stored."""

    def message(error, function, *args, **kwargs):
        with pytest.raises(error) as caught:
            function(*args, **kwargs)
        return str(caught.value)

    def stored(media, path=folder, max_bytes=10):
        Download(media, max_bytes=max_bytes).store(url, object_path(f"file://{path}"), str)

    (folder / "a file").touch()
    public, private = MediaClient(), MediaClient(allow_private=True)
    with Simulator({"a@example.com": 1}) as simulator:
        job = simulator.start_job()
        simulator.end_job(job)
        url = PixverseClient(simulator.token, simulator.url).get_result(job).url
        messages = [
            message(PixverseFatalError, stored, public),
            message(PixverseFatalError, stored, private),
            message(StorageError, stored, private, folder / "a file" / "folder"),
        ]
        simulator.inject(faults.status(404), path=".mp4", times=None)
        messages.append(message(PixverseLinkExpiredError, stored, private))
    return [
        *messages,
        message(StorageError, object_path, "s3://no_such_connection@bucket/fox.png"),
        message(StorageError, object_path, "blub://bucket/fox.png"),
        message(StorageError, source_of, f"file://{folder}/a file"),
        message(ValueError, Destination.parse, None, "fox.mp4", 1),
    ]


def log_on_a_worker(monkeypatch):
    """Log why a worker begins a wait, and why one ends a task."""
    for kind in (PixverseCapacitySensor, PixverseSubmitOperator):
        monkeypatch.setattr(kind, "log", logging.getLogger(__name__))
    began = datetime.now(UTC)
    with pytest.raises(TaskDeferred):
        PixverseCapacitySensor(task_id="wait", start_from_trigger=True)._wait_in_triggerer(
            {"ti": SimpleNamespace(start_date=began)}
        )
    task = PixverseSubmitOperator(task_id="make", payload={}, end_from_trigger=True)
    assert not TriggererWaits(task, began, None)._ends_in_triggerer()


def message_of_delivery():
    """Return the message for a result that cannot be stored."""

    def fail(*_):
        raise StorageError("why")

    task = SimpleNamespace(store_results=fail, durable=True, on_clear="resume", log=None)
    with pytest.raises(AirflowException) as caught:
        Delivery(task, {}, None)._store([])
    return str(caught.value)


def printed_messages(monkeypatch, caplog, folder):
    """Messages that the code prints now, one of each kind that the documentation explains."""
    monkeypatch.setattr(lookup, "SECOND_LOOK_AFTER", 0)
    with pytest.raises(PixverseFatalError) as not_found:
        lookup.read_connection("no_such_connection")
    service = Service("api.useapi.net", "connection 'pixverse_default'")
    other = Service("example.com", "connection 'pixverse_default'")
    capacity = Capacity(
        accounts=[AccountCapacity(email="a@example.com", maxJobs=2, executing=0, available=2)]
    )
    occupancy = Occupancy(lambda: 1)
    with caplog.at_level("INFO"), occupancy.taking_a_place():
        log_on_a_worker(monkeypatch)
    return [
        str(not_found.value),
        message_of(conn_type="http"),
        message_of(password="***"),
        message_of(host="http://example.com"),
        str(error_for_status(401, method="GET", path="scheduler/available", service=service.name)),
        str(other.error("GET", "scheduler/", Failure("answered a web page", wrong_host=True))),
        *obstacles(capacity, 1, ["b@example.com"]),
        *obstacles(capacity, 3),
        troubles_of_an_account(),
        str(unknown_outcome(service.error("POST", "videos/create", Failure("got no answer")))),
        message_of_job_id("a/b"),
        str(
            UnsettledError(
                SubmitRecord("sending", "r#1", "f", "videos/create", 1, 1, "2026-01-01T00:00:00+00:00"), "why"
            )
        ),
        *messages_of_storage(folder),
        message_of_delivery(),
        *caplog.messages,
    ]


def first_cells_of_troubleshooting():
    return [row[0] for table in tables(TROUBLESHOOTING.read_text()) for row in table]


def test_the_messages_that_troubleshooting_explains_are_printed(monkeypatch, caplog, tmp_path):
    quoted = [inline_code(cell)[0] for cell in first_cells_of_troubleshooting() if cell.startswith("`")]
    assert len(quoted) >= 8
    printed = printed_messages(monkeypatch, caplog, tmp_path)
    for quote in quoted:
        pattern = ".+".join(map(re.escape, quote.split("...")))
        assert any(re.search(pattern, message) for message in printed), quote


def test_the_messages_of_airflow_that_troubleshooting_explains_are_airflows():
    quoted = [inline_code(cell)[0] for cell in first_cells_of_troubleshooting() if cell.startswith("Airflow")]
    spec = importlib.util.find_spec("airflow.jobs.scheduler_job_runner")
    source = Path(spec.origin).read_text()
    assert quoted
    for quote in quoted:
        assert re.sub(r"success|\w+$", "%s", quote) in source, quote
