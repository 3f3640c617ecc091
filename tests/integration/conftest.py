"""What runs inside Airflow: DAGs with ``dag.test()``, on the simulator."""

import pytest


@pytest.fixture(autouse=True)
def _database(airflow_db):
    """Every test here runs DAGs."""
