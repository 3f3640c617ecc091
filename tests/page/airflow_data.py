"""Rows of Airflow's database, as the scheduler and the triggerer write them."""

from datetime import UTC, datetime, timedelta
from unittest import mock

from airflow.jobs.job import Job, JobState
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskreschedule import TaskReschedule
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import insert, select

from airflow_pixverse.capabilities import RENDERED_FIELDS_ARE_OF_A_TRY
from airflow_pixverse.operators.pixverse import PixverseBatchOperator
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.testing import dag_runs
from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger
from tests.helpers.dag_runs import new_dag

NOW = datetime.now(UTC)


def ago(seconds):
    """The moment that many seconds ago."""
    return datetime.now(UTC) - timedelta(seconds=seconds)


def defer(dag_id, waits, *, run_id="a_run", started=None, deferral_ends=None):
    """Let the mapped sensors of a new DAG wait in a triggerer, each with the trigger parameters given."""
    with create_session() as session:
        tasks = _tasks(session, _sensors(dag_id, len(waits)), run_id)
        for task, parameters in zip(tasks, waits, strict=True):
            trigger = Trigger(*PixverseCapacityTrigger(**parameters).serialize())
            session.add(trigger)
            session.flush()
            task.trigger_id, task.state = trigger.id, TaskInstanceState.DEFERRED
            task.start_date, task.trigger_timeout = started, deferral_ends


def poll(dag_id, state, *, started, first_poll=None, rendered=None, next_method=None):
    """Let the sensor of a new DAG poll for itself."""
    fields = {"pixverse_conn_id": "pixverse_default", "slots": 1, "emails": None} | (rendered or {})
    with create_session() as session:
        [task] = _tasks(session, _sensors(dag_id, 1))
        task.state, task.start_date, task.next_method = state, started, next_method
        _render(session, task, fields)
        if first_poll is not None:
            dates = {"start_date": first_poll, "end_date": first_poll, "reschedule_date": NOW}
            session.execute(insert(TaskReschedule).values(ti_id=task.id, duration=0, **dates))


def run_batch(dag_id, progress=None, *, state="running", started=NOW, rendered=None, as_text=False):
    """Let the batch of a new DAG run, with the XCom ``progress``: an object, or the text of one."""
    with new_dag(dag_id) as dag:
        PixverseBatchOperator(task_id="campaign", rows=[], payload={}, folder="file:///a_folder")
    with create_session() as session:
        [task] = _tasks(session, dag)
        task.state, task.start_date = state, started
        if rendered is not None:
            _render(session, task, rendered)
        if progress is None:
            return
        stored = {"key": "progress", "dag_id": dag_id, "run_id": "a_run", "task_id": "campaign"}
        serialize = XComModel.serialize_value if as_text else lambda value, **_: value
        with mock.patch.object(XComModel, "serialize_value", staticmethod(serialize)):
            XComModel.set(value=progress, session=session, **stored)


def start_triggerer(*, heartbeat):
    """Add a triggerer with this last heartbeat."""
    with create_session() as session:
        job = Job(job_type="TriggererJob", state=JobState.RUNNING)
        job.latest_heartbeat = heartbeat
        session.add(job)


def write_dag(dag_id):
    """Add a DAG."""
    with new_dag(dag_id) as dag:
        PixverseCapacitySensor(task_id="wait")
    dag_runs._write_to_database(dag)


def _sensors(dag_id, count):
    with new_dag(dag_id) as dag:
        PixverseCapacitySensor.partial(task_id="wait").expand(slots=[1] * count)
    return dag


def _render(session, task, fields):
    names = ("dag_id", "run_id", "task_id", "map_index")
    key = (
        {"task_instance_id": task.id}
        if RENDERED_FIELDS_ARE_OF_A_TRY
        else {name: getattr(task, name) for name in names}
    )
    session.execute(insert(RenderedTaskInstanceFields).values(rendered_fields=fields, **key))


def _tasks(session, dag, run_id="a_run"):
    dag_runs._write_to_database(dag)
    SerializedDagModel.get_dag(dag.dag_id, session=session).create_dagrun(
        run_id=run_id,
        run_after=NOW,
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.RUNNING,
        session=session,
    )
    tasks = select(TaskInstance).where(TaskInstance.dag_id == dag.dag_id).order_by(TaskInstance.map_index)
    return session.scalars(tasks).all()
