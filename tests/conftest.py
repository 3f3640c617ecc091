"""An Airflow home of its own for the whole test run, set before anything imports Airflow."""

import os
import tempfile
from pathlib import Path

import pytest

from airflow_pixverse.testing.home import use_airflow_home

_HOME = tempfile.TemporaryDirectory(prefix="airflow-pixverse-tests-", ignore_cleanup_errors=True)
_DAGS = Path(_HOME.name, "dags")
_DAGS.mkdir()
use_airflow_home(Path(_HOME.name), _DAGS, pytest.MonkeyPatch())
# Nothing here may depend on the proxies of the machine.
os.environ |= {"NO_PROXY": "*", "no_proxy": "*"}


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """A migrated database in the Airflow home of this run."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def sim(pixverse_simulator):
    """The simulator, which the connection ``pixverse_default`` leads to."""
    return pixverse_simulator
