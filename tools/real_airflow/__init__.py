"""A real Airflow on this machine, for the end-to-end tests, the scripts and the benchmarks."""

from tools.real_airflow.errors import AirflowError
from tools.real_airflow.launcher import Airflow
from tools.real_airflow.metadata import DagRun, Outcome, TaskInstance

__all__ = ["Airflow", "AirflowError", "DagRun", "Outcome", "TaskInstance"]
