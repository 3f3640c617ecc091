"""What runs inside Airflow: DAGs with ``dag.test()``, on the simulator."""

import re

import pytest

from airflow_pixverse.api.client import PixverseClient
from tests.integration.submits import MODES


@pytest.fixture(autouse=True)
def _database(airflow_db):
    """Every test here runs DAGs."""


@pytest.fixture(autouse=True)
def _quick_second_looks(monkeypatch):
    """What is only believed once it has been seen twice is looked at again soon."""
    monkeypatch.setattr("airflow_pixverse.gate.pacing.SECOND_LOOK", 0.2)
    monkeypatch.setattr("airflow_pixverse.hooks.lookup.SECOND_LOOK_AFTER", 0.2)


@pytest.fixture
def logged(caplog, capfd):
    """
    Return all that has been logged so far as one line, wherever this version of Airflow logs to.

    Airflow 3.0 draws tracebacks in boxes, and breaks their lines.
    """
    caplog.set_level("INFO")
    printed = []

    def text():
        captured = capfd.readouterr()
        printed.append(captured.out + captured.err)
        return re.sub(r"[\s│]+", " ", caplog.text + "".join(printed))

    return text


@pytest.fixture(params=MODES)
def mode(request):
    """Where a task waits: the arguments that say so."""
    return MODES[request.param]


@pytest.fixture
def short_minutes(monkeypatch):
    """What a submit waits for in minutes takes a moment."""
    monkeypatch.setattr("airflow_pixverse.result_pacing._UNLISTED", 0.5)
    for module in ("once", "look", "settle"):
        monkeypatch.setattr(f"airflow_pixverse.submits.{module}.LOOK_FOR", 1.0)
    monkeypatch.setattr("airflow_pixverse.submits.look.LOOK_EVERY", 0.2)
    monkeypatch.setattr("airflow_pixverse.submits.state._FIRST_PAUSE", 0.2)


@pytest.fixture
def dying(monkeypatch):
    """A function that lets the first submit die, before or after the service has got it."""
    submit_once = PixverseClient.submit

    def die(when, then=lambda: None):
        def submit(client, *args):
            monkeypatch.setattr(PixverseClient, "submit", submit_once)
            if when == "after":
                submit_once(client, *args)
                then()
            raise RuntimeError("the worker died")

        monkeypatch.setattr(PixverseClient, "submit", submit)

    return die
