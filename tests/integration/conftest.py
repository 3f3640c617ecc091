"""Tests inside Airflow: DAGs run with ``dag.test()``, on the simulator."""

import asyncio
import inspect
import re
from functools import partialmethod

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.api import client
from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.gate import suspicion
from airflow_pixverse.hooks import lookup
from airflow_pixverse.storage import download
from airflow_pixverse.submission import lost_jobs
from airflow_pixverse.submission.flow import SubmitFlow
from airflow_pixverse.waits import job_progress, submit_state
from tests.helpers.dag_runs import AIRFLOW, build_execution_api
from tests.helpers.submits import MODES, PICTURE


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test that is a coroutine on an event loop of its own, as triggers have it."""
    if not inspect.iscoroutinefunction(pyfuncitem.function):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.function(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(scope="session", autouse=True)
def _airflow(airflow_db):
    """Every test here runs DAGs."""
    build_execution_api()


@pytest.fixture(autouse=True)
def _minutes_are_short(monkeypatch):
    """No test here waits as long as a user would."""
    for module, name, seconds in (
        (client, "_FIRST_BACKOFF", 0.01),
        (download, "_FIRST_PAUSE", 0.0),
        (job_progress, "SLOW_LOOK", 0.5),
        (job_progress, "_SECOND_LOOK", 0.2),
        (job_progress, "_UNLISTED", 0.5),
        (lookup, "SECOND_LOOK_AFTER", 0.2),
        (submit_state, "_FIRST_BACKOFF", 0.2),
        (suspicion, "SECOND_LOOK", 0.2),
    ):
        monkeypatch.setattr(module, name, seconds)
    monkeypatch.setattr(lost_jobs, "TIMING", lost_jobs.LookTiming(look_for=1.0, every=0.2))


@pytest.fixture
def logged(caplog, capfd):
    """
    Return all that has been logged so far as one line, wherever this version of Airflow logs to.

    The function takes ``on_workers=True`` to leave out what Airflow 3.0 prints in ``dag.test()`` alone: each
    message between task and supervisor, secrets to be masked among them.
    """
    caplog.set_level("INFO")
    printed = []

    def text(*, on_workers=False):
        captured = capfd.readouterr()
        printed.append(captured.out + captured.err)
        shown = "".join(printed)
        if on_workers:
            shown = re.sub(r"(?m)^\S+ \S+ \[debug .*\n", "", shown)
        return re.sub(r"\s+", " ", caplog.text + shown)

    return text


@pytest.fixture(params=MODES)
def mode(request):
    """Each place where a task can wait, as the arguments that say so."""
    return MODES[request.param]


@pytest.fixture
def picture(tmp_path):
    """The address of a picture on this machine."""
    (tmp_path / "a.png").write_bytes(PICTURE)
    return f"file://{tmp_path}/a.png"


@pytest.fixture
def without_a_logical_date(monkeypatch):
    """Start each run as ``airflow dags trigger`` without a date does: on Airflow 3, it has none."""
    if AIRFLOW.major >= 3:
        monkeypatch.setattr(DAG, "test", partialmethod(DAG.test, logical_date=None))


@pytest.fixture
def when_giving_up(monkeypatch):
    """Register a function for the moment in which a try gives up waiting for what it has paid for."""
    hint = SubmitFlow._retry_hint

    def register(function):
        def call(*args):
            function()
            return hint(*args)

        monkeypatch.setattr(SubmitFlow, "_retry_hint", call)

    return register


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
