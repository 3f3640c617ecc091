"""
The pytest plugin: fixtures for short tests of DAGs.

With ``pixverse_dags_folder = dags`` in ``pytest.ini``, the session gets an Airflow of its own, and::

    def test_my_dag(run_dag, pixverse_simulator):
        assert run_dag("my_dag").state == "success"

pytest loads this module in every session wherever this package is installed. So it imports nothing that is
slow, and changes nothing for a session that has no ``pixverse_dags_folder`` and uses none of the fixtures.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_pixverse.simulator import Simulator
    from airflow_pixverse.testing.dag_runs import DagRunOutcome

DAGS_FOLDER = "pixverse_dags_folder"
MARKER = "pixverse_simulator"
# Submitted jobs must end within the test.
JOB_SECONDS = (1.0, 2.0)
_CONFIGURATION = ("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_")
_LOCATIONS = ("AIRFLOW_HOME", "AIRFLOW_CONFIG")
# A wait for slots polls again this many seconds after a refused token, instead of a minute.
SECOND_LOOK = 0.2


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the option of ``pytest.ini``."""
    parser.addini(
        DAGS_FOLDER,
        "the folder of the DAGs to test, relative to pytest's rootdir; with it, the session gets a temporary "
        "Airflow home with a database, and does not see the Airflow that the environment describes",
        default="",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Set up the Airflow home before any ``conftest.py`` or test module can import Airflow."""
    configured = early_config.getini(DAGS_FOLDER)
    if not configured:
        return
    dags_folder = early_config.rootpath / configured
    if not dags_folder.is_dir():
        raise pytest.UsageError(f"{DAGS_FOLDER}: there is no folder {dags_folder}")
    if "airflow.configuration" in sys.modules:
        raise pytest.UsageError(
            f"{DAGS_FOLDER}: another pytest plugin has imported Airflow already, with a home of its own"
        )
    home = tempfile.TemporaryDirectory(prefix="airflow-pixverse-tests-", ignore_cleanup_errors=True)
    early_config.add_cleanup(home.cleanup)
    patch = pytest.MonkeyPatch()
    early_config.add_cleanup(patch.undo)
    use_airflow_home(Path(home.name), dags_folder, patch)


def use_airflow_home(home: Path, dags_folder: Path, patch: pytest.MonkeyPatch) -> None:
    """
    Set the environment so that Airflow, when it is imported, uses an empty home and finds the DAGs.

    The settings, connections and variables of any other Airflow are removed. As in Airflow, DAG files can
    import modules that lie in their folder.
    """
    for name in list(os.environ):
        if name in _LOCATIONS or name.startswith(_CONFIGURATION):
            patch.delenv(name)
    patch.setenv("AIRFLOW_HOME", str(home))
    patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(dags_folder))
    patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    patch.setenv("AIRFLOW__CORE__UNIT_TEST_MODE", "False")
    patch.setenv("AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS", "False")
    patch.syspath_prepend(str(dags_folder))


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*, conn_id='pixverse_default', **options): options of the fixture {MARKER}, such as "
        "accounts={'a@example.com': 2}, busy=3, job_seconds=(1, 2); the others are those of "
        "airflow_pixverse.simulator.Simulator",
    )


@pytest.fixture
def pixverse_simulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulator]:
    """
    Run a simulator, to which the connection ``pixverse_default`` leads for this one test.

    ``@pytest.mark.pixverse_simulator(accounts={"a@example.com": 2}, busy=3)`` sets its options, those of
    :class:`~airflow_pixverse.simulator.Simulator`, and with ``conn_id`` another connection. Jobs that are
    submitted through the API run for one to two seconds unless ``job_seconds`` says otherwise. A wait for
    slots that is refused (401 and others) ends at once, instead of after a minute.
    """
    from airflow_pixverse.simulator import Simulator

    options: dict[str, Any] = {"conn_id": "pixverse_default", "job_seconds": JOB_SECONDS}
    for marker in reversed(list(request.node.iter_markers(MARKER))):
        if marker.args:
            pytest.fail(f"@pytest.mark.{MARKER} takes keyword arguments only", pytrace=False)
        options |= marker.kwargs
    variable = f"AIRFLOW_CONN_{options.pop('conn_id').upper()}"
    monkeypatch.setattr("airflow_pixverse.gate.suspicion.SECOND_LOOK", SECOND_LOOK)
    with Simulator(**options) as simulator:
        monkeypatch.setenv(variable, json.dumps(simulator.connection))
        yield simulator


@pytest.fixture(scope="session")
def pixverse_airflow_db(pytestconfig: pytest.Config) -> None:
    """Make the tables of the session's Airflow."""
    from airflow_pixverse.testing.dag_runs import has_database

    if pytestconfig.getini(DAGS_FOLDER):
        from airflow.utils.db import initdb

        initdb()
    elif not has_database():
        pytest.fail(
            f"This session has no Airflow database. Add a line like '{DAGS_FOLDER} = dags' to pytest.ini, "
            "and it gets one of its own; or point AIRFLOW_HOME to an Airflow that has one.",
            pytrace=False,
        )


@pytest.fixture
def run_dag(pixverse_airflow_db: None) -> Callable[..., DagRunOutcome]:  # noqa: ARG001 - it needs the database
    """
    Return a function that runs a DAG to its end, and returns how the run and each of its tasks ended.

    ``run_dag("my_dag")`` or ``run_dag(dag, conf={...})``: :func:`airflow_pixverse.testing.dag_runs.run_dag`.
    """
    from airflow_pixverse.testing import dag_runs

    return dag_runs.run_dag
