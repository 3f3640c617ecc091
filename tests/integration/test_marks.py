"""What a task notes of a submission: seen by its retries, not after a clear, and gone after success."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_pixverse.capabilities import HAS_TASK_STATE_STORE, WORKERS_HAVE_DATABASE
from airflow_pixverse.marks import (
    Mark,
    MarkNotWrittenError,
    MarkUnreadableError,
    TryNotRunningError,
    TryStateUnknownError,
    add_drop_callback,
    mark_store_of,
    rival_of,
)
from tests.integration.dag_runs import new_dag, run

RETRY = {"retries": 1, "retry_delay": 0}


class Step(BaseOperator):
    """Runs a function with its context, and drops its marks after success."""

    def __init__(self, *, do, item=None, drops=True, **kwargs):
        super().__init__(**kwargs)
        self.do, self.item = do, item
        if drops:
            add_drop_callback(self)

    def execute(self, context):
        return self.do(context)


def mark_of(context, state="sending", **changes):
    """A mark of the try that runs."""
    ti = context["ti"]
    mark = Mark(
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
    return replace(mark, **changes)


def left_behind(dag_id):
    """How many marks of a DAG there are in Airflow's database; the log of Airflow 2 keeps all."""
    from airflow.utils.session import create_session

    with create_session() as session:
        if HAS_TASK_STATE_STORE:
            from airflow.models.task_state_store import TaskStateStoreModel

            return session.query(TaskStateStoreModel).filter_by(dag_id=dag_id).count()
        if WORKERS_HAVE_DATABASE:
            from airflow.models.log import Log

            return session.query(Log).filter_by(dag_id=dag_id, event="pixverse_submit").count()
        from airflow.models.variable import Variable

        return session.query(Variable).filter(Variable.description.contains(f"of DAG {dag_id} ")).count()


def spoil(dag_id):
    """Replace what is stored for a DAG by something that is no mark."""
    from airflow.utils.session import create_session

    with create_session() as session:
        if HAS_TASK_STATE_STORE:
            from airflow.models.task_state_store import TaskStateStoreModel

            session.query(TaskStateStoreModel).filter_by(dag_id=dag_id).update({"value": '"{}"'})
        elif WORKERS_HAVE_DATABASE:
            from airflow.models.log import Log

            session.query(Log).filter_by(dag_id=dag_id, event="pixverse_submit").update({"extra": "{}"})
        else:
            from airflow.models.variable import Variable

            [variable] = session.query(Variable).filter(Variable.description.contains(f"of DAG {dag_id} "))
            variable.set_val("{}")


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


@pytest.fixture
def _asking_once(monkeypatch):
    """Let Airflow 3 ask its API server only once, and not for minutes."""
    if not WORKERS_HAVE_DATABASE:
        from airflow.sdk.api.client import Client
        from tenacity import stop_after_attempt, wait_none

        monkeypatch.setattr(Client.request.retry, "stop", stop_after_attempt(1))
        monkeypatch.setattr(Client.request.retry, "wait", wait_none())


def clear(dag, task_id, run_id):
    """Clear a task of a run, as somebody does in the UI."""
    from airflow.models.taskinstance import TaskInstance, clear_task_instances
    from airflow.utils.session import create_session

    dag_of_airflow_2 = {"dag": dag} if WORKERS_HAVE_DATABASE else {}
    with create_session() as session:
        tis = session.query(TaskInstance).filter_by(dag_id=dag.dag_id, task_id=task_id, run_id=run_id).all()
        clear_task_instances(tis, session, dag_run_state=False, **dag_of_airflow_2)


def kept(dag_id, marks):
    """The number of marks that are expected in the database."""
    return marks if WORKERS_HAVE_DATABASE else 0


def test_a_retry_reads_the_mark_of_the_try_before():
    read = []

    def submit(context):
        store = mark_store_of(context)
        read.append(store.read_all())
        if context["ti"].try_number == 1:
            store.write(mark_of(context))
            store.write(mark_of(context, "accepted", job_ids=("101", "102")))
            raise RuntimeError("the worker had trouble after the POST")

    with new_dag("marks_retry") as dag:
        Step(task_id="submit", do=submit, **RETRY)

    assert run(dag).tries == {"submit": [2]}
    first, second = read
    assert first == []
    assert [(mark.state, mark.try_number, mark.job_ids) for mark in second] == [
        ("accepted", 1, ("101", "102"))
    ]


def test_a_mark_is_read_as_it_was_written():
    read = []

    def submit(context):
        store = mark_store_of(context)
        written = mark_of(context, "accepted", email="ü@example.com", reference="airflow:a/b%20c#'\"\\\n€")
        store.write(written)
        read.append(store.read_all() == [written])

    with new_dag("marks_as_written") as dag:
        Step(task_id="submit", do=submit)

    run(dag)
    assert read == [True]


def test_a_cleared_task_does_not_see_the_marks_of_its_life_before():
    read = []

    def submit(context):
        store = mark_store_of(context)
        read.append([mark.try_number for mark in store.read_all()])
        store.write(mark_of(context))
        read.append([mark.try_number for mark in store.read_all()])
        if context["ti"].try_number == 1:
            raise RuntimeError("the answer was lost")

    with new_dag("marks_clear") as dag:
        submitting = Step(task_id="submit", do=submit)
        cleared = Step(
            task_id="clear",
            do=lambda context: clear(dag, "submit", context["run_id"]),
            trigger_rule="all_done",
        )
        submitting >> cleared

    outcome = run(dag)
    assert outcome.tries["submit"] == [2]
    assert read == [[], [1], [], [2]]
    assert left_behind("marks_clear") == kept("marks_clear", 2)


def test_success_leaves_no_mark_behind_and_failure_leaves_them():
    seen = []

    def submit(context):
        mark_store_of(context).write(mark_of(context))
        seen.append(left_behind(context["ti"].dag_id))
        if context["ti"].dag_id == "marks_failed" or context["ti"].try_number == 1:
            raise RuntimeError("the answer was lost")

    for dag_id in ("marks_succeeded", "marks_failed"):
        with new_dag(dag_id) as dag:
            Step(task_id="submit", do=submit, **RETRY)
        run(dag)

    assert seen == [1, 2, 1, 2]
    assert left_behind("marks_succeeded") == kept("marks_succeeded", 2)
    assert left_behind("marks_failed") == 2


def test_mapped_instances_have_each_their_own_marks_and_drop_them():
    read = {}

    def submit(context):
        ti, store = context["ti"], mark_store_of(context)
        read.setdefault(ti.map_index, []).append([mark.reference for mark in store.read_all()])
        store.write(mark_of(context))
        store.check_still_running()
        if ti.try_number == 1:
            raise RuntimeError("the answer was lost")

    called = []

    def note(context):
        called.append(context["ti"].map_index)

    with new_dag("marks_mapped") as dag:
        Step.partial(task_id="submit", do=submit, on_success_callback=note, **RETRY).expand(item=["a", "b"])

    outcome = run(dag)
    assert outcome.states == {"submit": ["success", "success"]}
    assert read == {
        0: [[], ["airflow:marks_mapped#0-1"]],
        1: [[], ["airflow:marks_mapped#1-1"]],
    }
    assert sorted(called) == [0, 1]
    assert left_behind("marks_mapped") == kept("marks_mapped", 4)


def test_a_mark_that_cannot_be_understood_is_not_taken_for_no_mark():
    read = []

    def submit(context):
        store = mark_store_of(context)
        if context["ti"].try_number == 1:
            store.write(mark_of(context))
            spoil("marks_unreadable")
            raise RuntimeError("the answer was lost")
        with pytest.raises(MarkUnreadableError, match=r"has no valid 'state'.* remove that mark"):
            store.read_all()
        read.append("refused")

    with new_dag("marks_unreadable") as dag:
        Step(task_id="submit", do=submit, **RETRY)

    run(dag)
    assert read == ["refused"]


@pytest.mark.usefixtures("_asking_once")
def test_marks_that_cannot_be_read_or_written_for_a_moment_are_not_taken_for_no_marks():
    seen = []

    def submit(context):
        store = mark_store_of(context)
        with database_down():
            with pytest.raises(MarkUnreadableError, match="cannot be read from Airflow's"):
                store.read_all()
            with pytest.raises(MarkNotWrittenError, match="so this try submits nothing"):
                store.write(mark_of(context))
            with pytest.raises(TryStateUnknownError, match="does not say whether"):
                store.check_still_running()
            store.drop()
        seen.append(store.read_all())

    with new_dag("marks_no_database") as dag:
        Step(task_id="submit", do=submit)

    run(dag)
    assert seen == [[]]


@pytest.mark.skipif(HAS_TASK_STATE_STORE or WORKERS_HAVE_DATABASE, reason="marks are not in Variables")
def test_a_mark_is_not_taken_for_written_where_a_secrets_backend_hides_it(monkeypatch):
    seen = []

    def submit(context):
        store = mark_store_of(context)
        monkeypatch.setenv(f"AIRFLOW_VAR_{store._key(1).upper()}", "what a secrets backend says")
        with pytest.raises(MarkNotWrittenError, match="reading it gives something else"):
            store.write(mark_of(context))
        seen.append("refused")

    with new_dag("marks_hidden") as dag:
        Step(task_id="submit", do=submit)

    run(dag)
    assert seen == ["refused"]


def test_of_two_tries_that_overlap_only_the_one_without_a_rival_may_submit():
    rivals = []

    def submit(context):
        ti, store = context["ti"], mark_store_of(context)
        mine = mark_of(context)
        store.write(mine)
        rivals.append(getattr(rival_of(mine, store.read_all()), "try_number", None))
        if ti.try_number == 1:
            raise RuntimeError("the answer was lost")

    with new_dag("marks_rivals") as dag:
        Step(task_id="submit", do=submit, **RETRY)

    run(dag)
    assert rivals == [None, 1]


def test_a_try_whose_own_mark_is_gone_reads_no_more_marks():
    read = []

    def submit(context):
        store = mark_store_of(context)
        store.write(mark_of(context))
        mark_store_of(context).drop()
        with pytest.raises(MarkUnreadableError, match="is gone from"):
            store.read_all()
        read.append("refused")

    if WORKERS_HAVE_DATABASE:
        pytest.skip("nothing is ever removed from the audit log")
    with new_dag("marks_gone") as dag:
        Step(task_id="submit", do=submit)

    run(dag)
    assert read == ["refused"]


def test_a_try_that_airflow_has_given_up_is_told():
    told = []

    def submit(context):
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session

        store = mark_store_of(context)
        store.check_still_running()
        with create_session() as session:
            session.query(TaskInstance).filter_by(dag_id="marks_given_up", task_id="submit").update(
                {"state": "up_for_retry"}
            )
        with pytest.raises(TryNotRunningError, match="has given up try 1"):
            store.check_still_running()
        told.append(True)

    with new_dag("marks_given_up") as dag:
        Step(task_id="submit", do=submit)

    run(dag)
    assert told == [True]


@pytest.mark.parametrize("own", ["none", "one", "list"])
def test_the_callbacks_of_the_user_are_called_too(own):
    called = []

    def note(context):
        called.append(context["ti"].task_id)

    given = {"none": None, "one": note, "list": [note, note]}[own]
    dag_id = f"marks_callbacks_{own}"
    with new_dag(dag_id) as dag:
        Step(
            task_id="submit",
            do=lambda context: mark_store_of(context).write(mark_of(context)),
            on_success_callback=given,
        )

    run(dag)
    assert called == ["submit"] * {"none": 0, "one": 1, "list": 2}[own]
    assert left_behind(dag_id) == kept(dag_id, 1)
