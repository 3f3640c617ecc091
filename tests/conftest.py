"""An Airflow home of its own for the whole test run, set before anything imports Airflow."""

import os
import tempfile
from pathlib import Path

import pytest

pytest_plugins = ["airflow_pixverse.simulator.fixtures"]

_HOME = tempfile.TemporaryDirectory(prefix="airflow-pixverse-tests-", ignore_cleanup_errors=True)
_DAGS = Path(_HOME.name, "dags")
_DAGS.mkdir()

for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "PIXVERSE_"))]:
    if name != "AIRFLOW_PIXVERSE_EXPECTED_AIRFLOW":
        del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": _HOME.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(_DAGS),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    # Nothing here may depend on the proxies of the machine.
    "NO_PROXY": "*",
    "no_proxy": "*",
}


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """A migrated database in the Airflow home of this run."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def sim(pixverse_simulator):
    """The simulator, which the connection ``pixverse_default`` leads to."""
    return pixverse_simulator
