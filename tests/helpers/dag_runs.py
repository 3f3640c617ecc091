"""DAGs for tests, run with the function that the pytest plugin gives its users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import DAG, task
from packaging.version import Version

from airflow_pixverse.testing.dag_runs import DagRunOutcome, run_dag

AIRFLOW = Version(airflow_version)


class Outcome:
    """The end of a DAG run: states, tries and XComs by task id, in the order of the map index."""

    def __init__(self, outcome: DagRunOutcome) -> None:
        self._outcome = outcome
        self.states = {name: [task.state for task in tasks] for name, tasks in outcome.tasks.items()}
        self.tries = {name: [task.tries for task in tasks] for name, tasks in outcome.tasks.items()}
        self.xcoms = {name: [task.xcom for task in tasks] for name, tasks in outcome.tasks.items()}

    def state(self, task_id: str) -> str | None:
        """The state of a task that is not mapped."""
        return self._outcome.task(task_id).state

    def end(self, task_id: str) -> tuple[str | None, int]:
        """The state of a task that is not mapped, and its number of tries."""
        task = self._outcome.task(task_id)
        return task.state, task.tries

    def xcom(self, task_id: str) -> Any:
        """Return the value of a task that is not mapped."""
        return self._outcome.task(task_id).xcom


def new_dag(dag_id: str, **kwargs: Any) -> DAG:
    """A DAG that nothing but a test starts."""
    return DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1), catchup=False, **kwargs)


def run(dag: DAG, **kwargs: Any) -> Outcome:
    """Run a DAG with ``dag.test()``."""
    return Outcome(run_dag(dag, **kwargs))


def build_execution_api() -> None:
    """Run a task: with the first, Airflow builds its API, in seconds that no timeout of a test is about."""
    with new_dag("first") as dag:

        @task
        def nothing() -> None:
            """Succeed."""

        nothing()
    run_dag(dag)


@contextmanager
def ending_jobs_after_two_looks(sim: Any) -> Iterator[None]:
    """End all jobs of the simulator once two requests have come, so that they execute until then."""

    def end() -> None:
        sim.wait_for_requests(2, timeout=60)
        sim.end_all_jobs()

    with ThreadPoolExecutor() as elsewhere:
        elsewhere.submit(end)
        yield


@contextmanager
def after_submits(sim: Any, number: int, act: Callable[[], None]) -> Iterator[None]:
    """Call a function once so many jobs were submitted."""

    def wait_and_act() -> None:
        sim.wait_for_submitted(number, timeout=120)
        act()

    with ThreadPoolExecutor() as elsewhere:
        done = elsewhere.submit(wait_and_act)
        yield
        done.result()
