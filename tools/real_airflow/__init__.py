"""A real Airflow on this machine, for the end-to-end tests, the scripts and the benchmarks."""

from tools.real_airflow.errors import AirflowError
from tools.real_airflow.launcher import PATIENCE, Airflow
from tools.real_airflow.metadata import DagRun, Outcome, TaskInstance
from tools.real_airflow.postgresql import PostgreSQL, installed_programs
from tools.real_airflow.workers import Worker

__all__ = [
    "PATIENCE",
    "Airflow",
    "AirflowError",
    "DagRun",
    "Outcome",
    "PostgreSQL",
    "TaskInstance",
    "Worker",
    "installed_programs",
]
