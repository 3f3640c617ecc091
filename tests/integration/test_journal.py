"""Records of submits: seen by retries and after a clear, and gone once the task has succeeded."""

from dataclasses import replace

import pytest

from airflow_pixverse.capabilities import HAS_TASK_STATE_STORE, WORKERS_HAVE_DATABASE
from airflow_pixverse.journal import (
    RecordNotWrittenError,
    RecordUnreadableError,
    TryNotRunningError,
    TryStateUnknownError,
    concurrent_attempt,
    drop_records,
    journal_of,
)
from airflow_pixverse.journal.journal import Key
from tests.helpers.clears import Clear
from tests.helpers.dag_runs import new_dag, run
from tests.helpers.journals import (
    RETRY,
    Step,
    assert_holds,
    database_down,
    kept,
    left_behind,
    record_of,
    run_step,
    spoil,
)


@pytest.fixture
def _asking_once(monkeypatch):
    """Let Airflow 3 ask its API server only once, and not for minutes."""
    if not WORKERS_HAVE_DATABASE:
        from airflow.sdk.api.client import Client
        from tenacity import stop_after_attempt, wait_none

        # Airflow 3.4 has the retries of its requests in a method of their own.
        request = getattr(Client, "_request_with_retry", Client.request)
        monkeypatch.setattr(request.retry, "stop", stop_after_attempt(1))
        monkeypatch.setattr(request.retry, "wait", wait_none())


def test_retry_reads_the_record_of_the_try_before():
    read = []

    def submit(context):
        journal = journal_of(context)
        read.append(journal.read_all())
        if context["ti"].try_number == 1:
            journal.write(record_of(context))
            journal.write(record_of(context, "accepted", job_ids=("101", "102")))
            raise RuntimeError("the worker had trouble after the POST")

    assert run_step("journal_retry", submit, **RETRY).tries == {"submit": [2]}
    first, second = read
    assert first == []
    assert [(record.state, record.try_number, record.job_ids) for record in second] == [
        ("accepted", 1, ("101", "102"))
    ]


def test_record_is_read_as_it_was_written():
    def submit(context):
        journal = journal_of(context)
        written = record_of(context, "accepted", email="ü@example.com", reference="airflow:a/b%20c#'\"\\\n€")
        journal.write(written)
        assert journal.read_all() == [written]

    assert_holds("journal_as_written", submit)


@pytest.mark.parametrize("succeeds", [False, True])
def test_cleared_task_sees_the_records_of_its_life_before_unless_it_had_succeeded(succeeds):
    read = []

    def submit(context):
        journal = journal_of(context)
        read.append([record.try_number for record in journal.read_all()])
        journal.write(record_of(context))
        if context["ti"].try_number == 1 and not succeeds:
            raise RuntimeError("the answer was lost")

    dag_id = f"journal_clear_{succeeds}"
    with new_dag(dag_id) as dag:
        submitting = Step(task_id="submit", do=submit)
        submitting >> Clear(task_id="clear", cleared="submit")

    outcome = run(dag)
    assert outcome.tries["submit"] == [2]
    assert read == [[], [] if succeeds else [1]]
    assert left_behind(dag_id) == kept(dag_id, 2)


@pytest.mark.skipif(WORKERS_HAVE_DATABASE, reason="nothing is ever removed from the audit log")
def test_records_stay_where_a_success_callback_runs_before_airflow_knows_of_the_success(logged):
    """As it does on Airflow 3.2 and later where the API server could not be told of the success."""

    def submit(context):
        journal = journal_of(context)
        journal.write(record_of(context))
        drop_records(context)
        assert len(journal.read_all()) == 1

    assert_holds("journal_too_early", submit)
    assert "Airflow takes it for running, and may retry it" in logged()


@pytest.mark.skipif(not HAS_TASK_STATE_STORE, reason="there is no task state store")
def test_record_whose_object_the_state_store_backend_has_lost_is_not_taken_for_no_record(monkeypatch):
    class Lossy:
        """A backend of ``[workers] state_store_backend`` whose objects are gone."""

        def serialize_task_state_store_to_ref(self, *, value, key, scope):
            return key

        def deserialize_task_state_store_from_ref(self, ref):
            return None

    def submit(context):
        from airflow.sdk.execution_time import context as airflow_context

        journal = journal_of(context)
        monkeypatch.setattr(airflow_context, "_get_worker_state_store_backend", Lossy)
        with pytest.raises(RecordNotWrittenError, match="reading it gives something else"):
            journal.write(record_of(context))
        with pytest.raises(RecordUnreadableError, match="it is not a JSON object"):
            journal.read_all()
        monkeypatch.undo()

    assert_holds("journal_lost", submit)


def test_two_submissions_of_a_try_have_each_their_record():
    def submit(context):
        journal = journal_of(context)
        first, second = record_of(context), record_of(context, reference="r#2")
        journal.write(first)
        journal.write(second)
        journal.write(replace(first, state="not accepted"))
        assert journal.read_all() == [replace(first, state="not accepted"), second]
        resumed = journal_of(context)
        resumed.write(replace(second, state="accepted", job_ids=("101",)))
        assert [record.state for record in resumed.read_all()] == ["not accepted", "accepted"]

    assert_holds("journal_two", submit)


def test_success_leaves_no_record_behind_and_failure_leaves_them():
    seen = []

    def submit(context):
        journal_of(context).write(record_of(context))
        seen.append(left_behind(context["ti"].dag_id))
        if context["ti"].dag_id == "journal_failed" or context["ti"].try_number == 1:
            raise RuntimeError("the answer was lost")

    for dag_id in ("journal_succeeded", "journal_failed"):
        run_step(dag_id, submit, **RETRY)

    assert seen == [1, 2, 1, 2]
    assert left_behind("journal_succeeded") == kept("journal_succeeded", 2)
    assert left_behind("journal_failed") == 2


def test_mapped_instances_have_each_their_own_records_and_drop_them():
    read = {}

    def submit(context):
        ti, journal = context["ti"], journal_of(context)
        read.setdefault(ti.map_index, []).append([record.reference for record in journal.read_all()])
        journal.write(record_of(context))
        journal.check_still_running()
        if ti.try_number == 1:
            raise RuntimeError("the answer was lost")

    called = []

    def note(context):
        called.append(context["ti"].map_index)

    with new_dag("journal_mapped") as dag:
        Step.partial(task_id="submit", do=submit, on_success_callback=note, **RETRY).expand(item=["a", "b"])

    outcome = run(dag)
    assert outcome.states == {"submit": ["success", "success"]}
    assert read == {
        0: [[], ["airflow:journal_mapped#0-1"]],
        1: [[], ["airflow:journal_mapped#1-1"]],
    }
    assert sorted(called) == [0, 1]
    assert left_behind("journal_mapped") == kept("journal_mapped", 4)


def test_record_that_cannot_be_understood_is_not_taken_for_no_record():
    def submit(context):
        journal = journal_of(context)
        if context["ti"].try_number == 1:
            journal.write(record_of(context))
            spoil("journal_unreadable")
            raise RuntimeError("the answer was lost")
        with pytest.raises(RecordUnreadableError, match=r"has no valid 'state'.* remove that record"):
            journal.read_all()

    assert_holds("journal_unreadable", submit, **RETRY)


@pytest.mark.usefixtures("_asking_once")
def test_records_that_cannot_be_read_or_written_for_a_moment_are_not_taken_for_no_records():
    def submit(context):
        journal = journal_of(context)
        with database_down():
            with pytest.raises(RecordUnreadableError, match="cannot be read from Airflow's"):
                journal.read_all()
            with pytest.raises(RecordNotWrittenError, match="so this try submits nothing"):
                journal.write(record_of(context))
            with pytest.raises(TryStateUnknownError, match="does not say whether"):
                journal.check_still_running()
            journal.drop()
        assert journal.read_all() == []

    assert_holds("journal_no_database", submit)


@pytest.mark.skipif(HAS_TASK_STATE_STORE or WORKERS_HAVE_DATABASE, reason="records are not in Variables")
def test_record_is_not_taken_for_written_where_a_secrets_backend_hides_it(monkeypatch):
    def submit(context):
        journal = journal_of(context)
        monkeypatch.setenv(f"AIRFLOW_VAR_{journal._key(Key(1, 1)).upper()}", "what a secrets backend says")
        with pytest.raises(RecordNotWrittenError, match=r"could not be written .*RecordUnreadableError"):
            journal.write(record_of(context))

    assert_holds("journal_hidden", submit)


def test_try_that_overlaps_an_earlier_one_sees_it_as_concurrent():
    rivals = []

    def submit(context):
        ti, journal = context["ti"], journal_of(context)
        mine = record_of(context)
        journal.write(mine)
        rivals.append(getattr(concurrent_attempt(mine, journal.read_all()), "try_number", None))
        if ti.try_number == 1:
            raise RuntimeError("the answer was lost")

    run_step("journal_rivals", submit, **RETRY)
    assert rivals == [None, 1]


@pytest.mark.skipif(WORKERS_HAVE_DATABASE, reason="nothing is ever removed from the audit log")
def test_try_whose_own_record_is_gone_reads_no_more_records():
    def submit(context):
        journal = journal_of(context)
        journal.write(record_of(context))
        assert len(journal.read_all()) == 1
        journal_of(context)._drop()
        with pytest.raises(RecordUnreadableError, match="is gone from"):
            journal.read_all()

    assert_holds("journal_gone", submit)


def test_try_that_airflow_has_given_up_is_told():
    def submit(context):
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session

        ti, journal = context["ti"], journal_of(context)
        journal.check_still_running()
        with create_session() as session:
            row = session.query(TaskInstance).filter_by(dag_id=ti.dag_id, task_id="submit")
            row.update({"state": "up_for_retry"})
        with pytest.raises(TryNotRunningError, match="has given up try 1"):
            journal.check_still_running()
        told.append(True)

    told = []
    run_step("journal_given_up", submit)
    assert told == [True]


@pytest.mark.parametrize("own", ["none", "one", "list"])
def test_the_callbacks_of_the_user_are_called_too(own):
    called = []

    def note(context):
        called.append(context["ti"].task_id)

    given = {"none": None, "one": note, "list": [note, note]}[own]
    dag_id = f"journal_callbacks_{own}"
    run_step(dag_id, lambda context: journal_of(context).write(record_of(context)), on_success_callback=given)
    assert called == ["submit"] * {"none": 0, "one": 1, "list": 2}[own]
    assert left_behind(dag_id) == kept(dag_id, 1)


@pytest.mark.skipif(not HAS_TASK_STATE_STORE, reason="Variables have no owner")
def test_try_that_was_given_up_can_neither_write_nor_read_a_record():
    """So a try whose record is read back is the last one, and reads no keys of later tries."""

    def submit(context):
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session

        ti, journal = context["ti"], journal_of(context)
        journal.write(record_of(context))
        with create_session() as session:
            row = session.query(TaskInstance).filter_by(dag_id=ti.dag_id, task_id="submit").one()
            row.prepare_db_for_next_try(session)
        with pytest.raises(
            RecordNotWrittenError, match="Airflow refuses what a try writes that it has given up"
        ):
            journal.write(record_of(context, reference="r#2"))
        with pytest.raises(RecordUnreadableError, match="is gone from"):
            journal.read_all()
        told.append(True)
        with create_session() as session:  # nobody runs the next try, and the run would wait for it
            session.query(TaskInstance).filter_by(dag_id=ti.dag_id).update({"state": "failed"})

    told = []
    run_step("journal_next_try", submit)
    assert told == [True]
