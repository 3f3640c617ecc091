"""Give a test session an Airflow of its own, apart from the one that the machine is set up for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_CONFIGURATION = ("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_")
_LOCATIONS = ("AIRFLOW_HOME", "AIRFLOW_CONFIG")


def airflow_is_imported() -> bool:
    """Return whether Airflow has already read its configuration, so that setting its home comes too late."""
    return "airflow.configuration" in sys.modules


def use_airflow_home(home: Path, dags_folder: Path, patch: pytest.MonkeyPatch) -> None:
    """
    Set the environment so that Airflow, when it is imported, uses ``home`` and finds DAGs in ``dags_folder``.

    What the environment says about another Airflow is removed: its settings, connections and variables. As in
    Airflow, DAG files can import modules that lie in their folder.

    :param home: an empty folder, for the database and the logs
    :param dags_folder: where the DAG files are
    :param patch: undoes all of this
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
