"""What runs inside Airflow: DAGs with ``dag.test()``, on the simulator."""

import functools
from datetime import datetime

import pytest

from tests.integration.dag_runs import AIRFLOW


@pytest.fixture(autouse=True)
def _database(airflow_db):
    """Every test here runs DAGs."""


@pytest.fixture(autouse=True, scope="session")
def _dates_are_dates():
    """In ``dag.test()``, Airflow 3.0 gives a rescheduled sensor its first date as a string."""
    if AIRFLOW.release[:2] == (3, 0):
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        first_date = RuntimeTaskInstance.get_first_reschedule_date

        def parsed(self, context):
            date = first_date(self, context)
            return datetime.fromisoformat(date) if isinstance(date, str) else date

        RuntimeTaskInstance.get_first_reschedule_date = parsed


@pytest.fixture(autouse=True, scope="session")
def _one_execution_api():
    """Airflow 3.0 to 3.2 would build its execution API anew for each task, which takes two seconds."""
    if (3, 0) <= AIRFLOW.release < (3, 3):
        from airflow.sdk.execution_time import supervisor

        supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
