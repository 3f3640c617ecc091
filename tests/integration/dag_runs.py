"""Run a DAG to its end inside the Airflow at hand, whichever version that is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from unittest import mock

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import DAG, AirflowTaskTimeout
from packaging.version import Version

AIRFLOW = Version(airflow_version)


@dataclass
class Outcome:
    """How a DAG run ended: states, tries and XComs by task id, in the order of the map index."""

    states: dict[str, list[str]] = field(default_factory=dict)
    tries: dict[str, list[int]] = field(default_factory=dict)
    xcoms: dict[str, list[Any]] = field(default_factory=dict)

    def state(self, task_id: str) -> str:
        """The state of a task that is not mapped."""
        [state] = self.states[task_id]
        return state

    def xcom(self, task_id: str) -> Any:
        """What a task that is not mapped returned."""
        [xcom] = self.xcoms[task_id]
        return xcom


def new_dag(dag_id: str, **kwargs: Any) -> DAG:
    """A DAG that nothing but a test starts."""
    return DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1), catchup=False, **kwargs)


def run(dag: DAG, **kwargs: Any) -> Outcome:
    """Run a DAG with ``dag.test()``."""
    _sync_to_db(dag)
    with _outliving_timeouts():
        dag_run = dag.test(**kwargs)
    outcome = Outcome()
    for ti in sorted(dag_run.get_task_instances(), key=lambda ti: (ti.task_id, ti.map_index)):
        outcome.states.setdefault(ti.task_id, []).append(str(ti.state))
        outcome.tries.setdefault(ti.task_id, []).append(ti.try_number)
        xcom = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
        outcome.xcoms.setdefault(ti.task_id, []).append(xcom)
    return outcome


@contextmanager
def _outliving_timeouts() -> Iterator[None]:
    """On Airflow 2.11, ``AirflowTaskTimeout`` ends ``dag.test()`` instead of the task only."""
    if Version("3.0") <= AIRFLOW:
        yield
        return
    import airflow.models.dag as dag_module

    run_task = dag_module._run_task

    def run_task_to_its_end(**kwargs: Any) -> None:
        try:
            run_task(**kwargs)
        except AirflowTaskTimeout as error:
            raise RuntimeError("the task has timed out") from error

    with mock.patch.object(dag_module, "_run_task", run_task_to_its_end):
        yield


def _sync_to_db(dag: DAG) -> None:
    """From Airflow 3.1 on, ``dag.test()`` wants the DAG in the database, or looks for its file."""
    if AIRFLOW < Version("3.1"):
        return
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    try:
        from airflow.serialization.definitions.dag import SerializedDAG
    except ImportError:
        from airflow.serialization.serialized_objects import SerializedDAG

    with create_session() as session:
        if session.get(DagBundleModel, "testing") is None:
            session.add(DagBundleModel(name="testing"))
            session.flush()
        lazy = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db("testing", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="testing", session=session)
