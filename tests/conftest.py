"""An Airflow home of its own for the whole test run, set before anything imports Airflow."""

import fcntl
import gc
import json
import os
import sqlite3
import tempfile
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from airflow_pixverse.testing.plugin import use_airflow_home

# Whose tests bring up a whole Airflow. They give up by themselves and tell what it printed, which the usual
# limit would prevent: it also counts the start of Airflow, and ends the tests that are left as well.
_WITH_REAL_AIRFLOW = {"browser", "e2e", "scripts"}
_REAL_AIRFLOW_TIMEOUT = 3600
# Airflow makes a million objects that stay: to look through them again and again takes a sixth of all time.
gc.set_threshold(100_000, 50, 1000)
_HOME = tempfile.TemporaryDirectory(prefix="airflow-pixverse-tests-", ignore_cleanup_errors=True)
_DAGS = Path(_HOME.name, "dags")
_DAGS.mkdir()
use_airflow_home(Path(_HOME.name), _DAGS, pytest.MonkeyPatch())
# Airflow 3.0 draws a box around each frame of a traceback, with its local variables.
# That takes seconds, most of the time of a test in which a task fails. From 3.1 on, they are plain.
if find_spec("structlog"):
    dev = import_module("structlog.dev")
    dev.RichTracebackFormatter.__call__ = lambda _, file, exc_info: dev.plain_traceback(file, exc_info)
# Nothing here may depend on the proxies of the machine.
os.environ |= {"NO_PROXY": "*", "no_proxy": "*"}


@pytest.fixture(scope="session")
def airflow_db(tmp_path_factory) -> None:
    """A migrated database in the Airflow home of this process, which the first one makes for all."""
    from airflow.utils.db import initdb

    from airflow_pixverse.capabilities import WORKERS_HAVE_DATABASE

    if (
        WORKERS_HAVE_DATABASE
    ):  # where the database is copied, nothing else imports tables that others refer to
        from airflow.providers.fab.auth_manager import models  # noqa: F401
    mine = Path(_HOME.name, "airflow.db")
    folder = tmp_path_factory.getbasetemp()
    shared = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / mine.name
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if shared.exists():
            _copy_database(shared, mine)
        else:
            initdb()
            _copy_database(mine, shared)


def _copy_database(source, target) -> None:
    """Copy a database of SQLite, with what is in its write-ahead log."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


@pytest.fixture
def sim(pixverse_simulator):
    """The simulator, which the connection ``pixverse_default`` leads to."""
    return pixverse_simulator


@pytest.fixture
def link(sim):
    """A signed URL of a video at the simulator."""
    sim.link_seconds = 3600
    sim.end_job(sim.start_job())
    return f"{sim.url}/media/1.mp4{sim.links.query('/media/1.mp4', sim.service.now)}"


@pytest.fixture(scope="session")
def object_store():
    """An S3 server, which the connection ``object_store`` leads to."""
    # Here, since most runs need none, and it takes a second to import.
    from tests.object_store import ObjectStore

    with ObjectStore() as store, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_OBJECT_STORE", json.dumps(store.connection))
        yield store


@pytest.fixture
def bucket(object_store):
    """An empty bucket of the object store."""
    return object_store.new_bucket()


def pytest_collection_modifyitems(items):
    """Give tests with a real Airflow more time."""
    for item in items:
        if item.path.parent.name in _WITH_REAL_AIRFLOW:
            item.add_marker(pytest.mark.timeout(_REAL_AIRFLOW_TIMEOUT))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what the components of a real Airflow printed when a test failed that has one."""
    report = yield
    if report.failed and (airflow := item.funcargs.get("airflow")):
        report.sections.append(("Airflow", airflow.report()))
    return report
