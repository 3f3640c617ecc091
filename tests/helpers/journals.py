"""Tasks that write records of submits, and what is left of these in Airflow's database."""

from contextlib import contextmanager
from dataclasses import replace

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_pixverse.capabilities import HAS_TASK_STATE_STORE, WORKERS_HAVE_DATABASE
from airflow_pixverse.journal import SubmitRecord, add_drop_callback
from tests.helpers.dag_runs import new_dag, run

RETRY = {"retries": 1, "retry_delay": 0}


class Step(BaseOperator):
    """Runs a function with its context, and drops its records after success."""

    def __init__(self, *, do, item=None, drops=True, **kwargs):
        super().__init__(**kwargs)
        self.do, self.item = do, item
        if drops:
            add_drop_callback(self)

    def execute(self, context):
        return self.do(context)


def run_step(dag_id, do, **kwargs):
    """Run a DAG with one task, ``submit``."""
    with new_dag(dag_id) as dag:
        Step(task_id="submit", do=do, **kwargs)
    return run(dag)


def assert_holds(dag_id, do, **kwargs):
    """Run a DAG whose task makes assertions, and asserts that all of them hold."""
    assert run_step(dag_id, do, **kwargs).state("submit") == "success"


def record_of(context, state="sending", **changes):
    """A record of the try that runs."""
    ti = context["ti"]
    record = SubmitRecord(
        state=state,
        reference=f"airflow:{ti.dag_id}#{ti.map_index}-{ti.try_number}",
        fingerprint="f00d",
        endpoint="videos/create",
        max_tries=ti.max_tries,
        try_number=ti.try_number,
        sent_at="2026-01-01T00:00:00+00:00",
        seed=7,
        email="a-1@example.com",
    )
    return replace(record, **changes)


def stored(session, dag_id):
    """The query for the rows of Airflow's database that hold the records of a DAG."""
    if HAS_TASK_STATE_STORE:
        from airflow.models.task_state_store import TaskStateStoreModel

        return session.query(TaskStateStoreModel).filter_by(dag_id=dag_id)
    if WORKERS_HAVE_DATABASE:
        from airflow.models.log import Log

        return session.query(Log).filter_by(dag_id=dag_id, event="pixverse_submit")
    from airflow.models.variable import Variable

    return session.query(Variable).filter(Variable.description.contains(f"of DAG {dag_id} "))


def left_behind(dag_id):
    """Return the number of records of a DAG; the log of Airflow 2 keeps all."""
    from airflow.utils.session import create_session

    with create_session() as session:
        return stored(session, dag_id).count()


def spoil(dag_id):
    """Replace what is stored for a DAG by something that is no record."""
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = stored(session, dag_id)
        if HAS_TASK_STATE_STORE:
            rows.update({"value": '"{}"'})
        elif WORKERS_HAVE_DATABASE:
            rows.update({"extra": "{}"})
        else:
            rows.one().set_val("{}")


def kept(dag_id, records):
    """The number of records that are expected in the database."""
    return records if WORKERS_HAVE_DATABASE else 0


@contextmanager
def database_down():
    """Let every statement fail, on the worker (Airflow 2) or in the API server."""
    from airflow import settings
    from sqlalchemy import event
    from sqlalchemy.exc import OperationalError

    def fail(connection, cursor, statement, *_):
        raise OperationalError(statement, None, ConnectionError("the database is down"))

    event.listen(settings.engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(settings.engine, "before_cursor_execute", fail)
