"""Run a DAG to its end inside the installed Airflow, whichever version that is."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import DAG

# The bundle that tested DAGs belong to in the database of Airflow 3.1 and later.
_BUNDLE = "pixverse-tests"


@dataclass(frozen=True)
class TaskOutcome:
    """
    The end of a task instance.

    :param state: such as ``success``, ``failed``, ``skipped`` or ``upstream_failed``; None if it was never
        scheduled
    :param tries: how many times it was tried
    :param xcom: what it returned
    """

    state: str | None
    tries: int
    xcom: Any


@dataclass(frozen=True)
class DagRunOutcome:
    """
    The end of a DAG run.

    :param state: ``success`` or ``failed``
    :param tasks: the task instances by task id, in the order of their map index; there is one of each task,
        unless it is mapped
    """

    state: str
    tasks: dict[str, list[TaskOutcome]]

    def task(self, task_id: str) -> TaskOutcome:
        """
        Return the outcome of a task that has exactly one instance.

        :raises LookupError: when the run has no such task, or several instances of it: see ``tasks``
        """
        instances = self.tasks.get(task_id, [])
        if len(instances) != 1:
            known = ", ".join(f"{name} ({len(found)})" for name, found in self.tasks.items())
            raise LookupError(
                f"The task {task_id!r} has {len(instances)} instances, not one. The run has: {known}"
            )
        return instances[0]


def run_dag(dag: DAG | str, *, conf: Mapping[str, Any] | None = None) -> DagRunOutcome:
    """
    Run a DAG with ``dag.test()``, which returns when all tasks have ended.

    The tasks and their triggers run in this process, one after the other, without scheduler and triggerer.

    :param dag: a DAG, or the id of one in the DAG folder
    :param conf: the ``conf`` of the DAG run
    :raises LookupError: when the DAG folder has no DAG with this id
    """
    if isinstance(dag, str):
        dag = load_dag(dag)
    _write_to_database(dag)
    with _timeouts_end_tasks_only(), _dates_are_dates(), _one_execution_api():
        dag_run = dag.test(run_conf=None if conf is None else dict(conf))
    tasks: dict[str, list[TaskOutcome]] = {}
    for ti in sorted(dag_run.get_task_instances(), key=lambda ti: (ti.task_id, ti.map_index)):
        xcom = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
        state = None if ti.state is None else str(ti.state)
        tasks.setdefault(ti.task_id, []).append(TaskOutcome(state, ti.try_number, xcom))
    return DagRunOutcome(str(dag_run.state), tasks)


def load_dag(dag_id: str) -> DAG:
    """
    Return the DAG with this id from the DAG folder.

    :raises LookupError: when there is none; the message has the errors of the files that cannot be imported
    """
    bag = _first_importable("DagBag", "airflow.dag_processing.dagbag", "airflow.models.dagbag")()
    if dag := bag.dags.get(dag_id):
        return dag  # type: ignore[no-any-return]
    found = ", ".join(bag.dags) or "none"
    errors = "".join(f"\n{file} cannot be imported:\n{error}" for file, error in bag.import_errors.items())
    raise LookupError(f"No DAG {dag_id!r} in {bag.dag_folder}; it has: {found}{errors}")


def _first_importable(name: str, *modules: str) -> Any:
    """Return ``name`` from the first of ``modules`` that exists: Airflow moved it."""
    for module in modules:
        if importlib.util.find_spec(module):
            return getattr(importlib.import_module(module), name)
    raise ImportError(f"No {name} in {' or '.join(modules)}")


def has_database() -> bool:
    """Return whether the database of the installed Airflow can be reached and has its tables."""
    from airflow import settings
    from sqlalchemy import inspect
    from sqlalchemy.exc import OperationalError

    try:
        return bool(inspect(settings.engine).has_table("dag_run"))
    except OperationalError:
        return False


def _write_to_database(dag: DAG) -> None:
    """Write the DAG where ``dag.test()`` looks for it from Airflow 3.1 on, before it looks for a file."""
    from airflow.serialization import serialized_objects

    lazy_dag: Any = getattr(serialized_objects, "LazyDeserializedDAG", None)
    if not hasattr(lazy_dag, "from_dag"):  # before Airflow 3.1
        return
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session

    serialized_dag = _first_importable(
        "SerializedDAG", "airflow.serialization.definitions.dag", "airflow.serialization.serialized_objects"
    )
    lazy = lazy_dag.from_dag(dag)
    with create_session() as session:
        if session.get(DagBundleModel, _BUNDLE) is None:
            session.add(DagBundleModel(name=_BUNDLE))
            session.flush()
        serialized_dag.bulk_write_to_db(_BUNDLE, None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name=_BUNDLE, session=session)


@contextmanager
def _timeouts_end_tasks_only() -> Iterator[None]:
    """Let ``AirflowTaskTimeout`` end the task only; on Airflow 2 it would end ``dag.test()``."""
    import airflow.models.dag as dag_module
    from airflow.providers.common.compat.sdk import AirflowTaskTimeout

    run_task = getattr(dag_module, "_run_task", None)
    if run_task is None:  # Airflow 3
        yield
        return

    def run_task_to_its_end(**kwargs: Any) -> None:
        try:
            run_task(**kwargs)
        except AirflowTaskTimeout as error:
            raise RuntimeError("the task has timed out") from error

    with mock.patch.object(dag_module, "_run_task", run_task_to_its_end):
        yield


@contextmanager
def _dates_are_dates() -> Iterator[None]:
    """Parse the first date of a rescheduled sensor, which is a string in ``dag.test()`` of Airflow 3.0."""
    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    except ImportError:  # Airflow 2
        yield
        return
    first_date = RuntimeTaskInstance.get_first_reschedule_date

    def parsed(self: Any, context: Any) -> datetime | None:
        date: datetime | str | None = first_date(self, context)
        return datetime.fromisoformat(date) if isinstance(date, str) else date

    with mock.patch.object(RuntimeTaskInstance, "get_first_reschedule_date", parsed):
        yield


@contextmanager
def _one_execution_api() -> Iterator[None]:
    """Build the execution API only once: Airflow 3.0 to 3.2 would take two seconds for each task."""
    try:
        from airflow.sdk.execution_time import supervisor
    except ImportError:  # Airflow 2
        yield
        return
    with mock.patch.object(supervisor, "in_process_api_server", _cached(supervisor.in_process_api_server)):
        yield


@functools.cache
def _cached(build: Callable[[], Any]) -> Callable[[], Any]:
    return functools.cache(build)
