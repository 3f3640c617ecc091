"""Tasks in Airflow's database, as the scheduler and the triggerer leave them there."""

from datetime import UTC, datetime, timedelta

from airflow.jobs.job import Job, JobState
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskreschedule import TaskReschedule
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import insert, select

from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.testing import dag_runs
from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger
from tests.integration.dag_runs import new_dag

NOW = datetime.now(UTC)


def ago(seconds):
    """The moment that many seconds ago."""
    return datetime.now(UTC) - timedelta(seconds=seconds)


def defer(dag_id, waits, *, run_id="a_run", started=None, deferral_ends=None):
    """Let the mapped sensors of a new DAG wait in a triggerer, each with the trigger parameters given."""
    with create_session() as session:
        for task, parameters in zip(_tasks(session, dag_id, len(waits), run_id), waits, strict=True):
            trigger = Trigger(*PixverseCapacityTrigger(**parameters).serialize())
            session.add(trigger)
            session.flush()
            task.trigger_id, task.state = trigger.id, TaskInstanceState.DEFERRED
            task.start_date, task.trigger_timeout = started, deferral_ends


def look(dag_id, state, *, started, first_look=None, rendered=None, next_method=None):
    """Let the sensor of a new DAG look for itself."""
    fields = {"pixverse_conn_id": "pixverse_default", "slots": 1, "emails": None} | (rendered or {})
    with create_session() as session:
        [task] = _tasks(session, dag_id, 1, "a_run")
        task.state, task.start_date, task.next_method = state, started, next_method
        session.execute(
            insert(RenderedTaskInstanceFields).values(
                dag_id=dag_id, run_id="a_run", task_id="wait", map_index=0, rendered_fields=fields
            )
        )
        if first_look is not None:
            session.execute(
                insert(TaskReschedule).values(
                    ti_id=task.id, start_date=first_look, end_date=first_look, duration=0, reschedule_date=NOW
                )
            )


def start_triggerer(*, heartbeat):
    """Let there be a triggerer that sent its last heartbeat then."""
    with create_session() as session:
        job = Job(job_type="TriggererJob", state=JobState.RUNNING)
        job.latest_heartbeat = heartbeat
        session.add(job)


def write_dag(dag_id):
    """Let there be a DAG."""
    with new_dag(dag_id) as dag:
        PixverseCapacitySensor(task_id="wait")
    dag_runs._write_to_database(dag)


def _tasks(session, dag_id, count, run_id):
    with new_dag(dag_id) as dag:
        PixverseCapacitySensor.partial(task_id="wait").expand(slots=[1] * count)
    dag_runs._write_to_database(dag)
    SerializedDagModel.get_dag(dag_id, session=session).create_dagrun(
        run_id=run_id,
        run_after=NOW,
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.RUNNING,
        session=session,
    )
    tasks = select(TaskInstance).where(TaskInstance.dag_id == dag_id).order_by(TaskInstance.map_index)
    return session.scalars(tasks).all()
