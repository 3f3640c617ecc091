"""A job that is paid for is picked up, whatever has become of the payload, the function and the task."""

from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowTaskTimeout

from airflow_pixverse.capabilities import WORKERS_HAVE_DATABASE
from airflow_pixverse.journal import RecordNotWrittenError
from airflow_pixverse.journal.journal import SubmitJournal
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.reports.xcoms import JOB_IDS_KEY
from airflow_pixverse.simulator import faults
from airflow_pixverse.submission.delivery import Delivery
from airflow_pixverse.waits.submit_state import SubmitState
from tests.helpers.clears import Clear
from tests.helpers.dag_runs import new_dag, run
from tests.helpers.submits import (
    PROMPT,
    ended_by_hand,
    ending_jobs,
    posts,
    prompts,
    run_function,
    submit,
    submit_and_end,
    submit_mapped,
    submitting,
)

RETRY = {"poke_interval": 0.2, "retries": 1, "retry_delay": 0}


@pytest.fixture
def interrupted(sim, monkeypatch):
    """Let the first try end once its job is accepted; the second one finds the job finished."""
    write = SubmitJournal.write

    def write_and_end(store, record):
        write(store, record)
        if record.state == "accepted" and record.try_number == 1:
            sim.end_all_jobs()
            raise AirflowException("the worker had trouble after the POST")

    monkeypatch.setattr(SubmitJournal, "write", write_and_end)


@contextmanager
def cleared_once(first=lambda: None):
    """A DAG whose task ``make`` is cleared once it has ended."""
    with new_dag("submit") as dag:
        yield dag
        dag.get_task("make") >> Clear(task_id="clear", cleared="make", first=first)


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize(
    ("changed", "trouble"),
    [
        (
            {"payload": PROMPT | {"email": "{{ 'a-1@example.com' if ti.try_number == 1 else '' }}"}},
            "email of the payload",
        ),
        ({"endpoint": "{{ 'videos/create' if ti.try_number == 1 else 'scheduler/' }}"}, "endpoint must be"),
        ({"emails": "{{ 'a-1@example.com' if ti.try_number == 1 else '' }}"}, "emails"),
        ({"reply_ref": "{{ 'mine' if ti.try_number == 1 else '' }}"}, "reply_ref must be"),
        ({"reply_ref": "{{ 'mine' if ti.try_number == 1 else nothing.there }}"}, "'nothing' is undefined"),
    ],
    ids=["payload", "endpoint", "emails", "reply_ref", "template"],
)
def test_a_parameter_that_cannot_be_used_any_more_does_not_stand_in_the_way(
    sim, mode, changed, trouble, logged
):
    assert submit(**changed, **mode).end("make") == ("success", 2)
    assert len(posts(sim)) == 1
    assert trouble in logged()


@pytest.mark.usefixtures("interrupted")
def test_a_function_that_fails_at_the_retry_does_not_stand_in_the_way(sim, logged):
    def make(ti):
        if ti.try_number > 1:
            raise ValueError("the table cannot be read")
        return PROMPT

    assert run_function(make).end("make") == ("success", 2)
    assert prompts(sim) == ["a cat"]
    assert "ValueError: the table cannot be read" in logged()


@pytest.mark.usefixtures("interrupted")
def test_a_folder_that_cannot_be_used_any_more_leaves_the_result_paid_for_and_says_so(sim, logged):
    folder = "{{ 'file:///tmp/never-written/' if ti.try_number == 1 else 'nowhere' }}"
    assert submit(output_path=folder).end("make") == ("failed", 2)
    assert prompts(sim) == ["a cat"]
    assert "the result is there and paid for, but not stored" in logged()


def test_a_template_that_cannot_be_rendered_fails_before_anything_is_submitted(sim, logged):
    assert submit(payload=PROMPT | {"style": "{{ nothing.there }}"}).end("make") == ("failed", 2)
    assert posts(sim) == []
    assert "'nothing' is undefined" in logged()


@pytest.mark.usefixtures("interrupted")
def test_a_mapped_instance_whose_template_cannot_be_rendered_any_more_keeps_its_job(sim):
    style = "{{ 'plain' if ti.try_number == 1 else nothing.there }}"
    payloads = [{"prompt": animal, "style": style} for animal in ("a cat", "a dog")]
    outcome = submit_mapped({"payload": payloads})
    assert outcome.states["make"] == ["success", "success"]
    assert sorted(prompts(sim)) == ["a cat", "a dog"]


@pytest.mark.usefixtures("interrupted")
def test_a_mapped_instance_whose_payload_differs_between_tries_keeps_its_job(sim):
    """Such as a presigned URL, a random number or the time of day."""

    def make(animal, ti):
        return {"prompt": animal, "at": ti.try_number}

    outcome = run_function(make, over={"animal": ["a cat", "a dog"]})
    assert outcome.states["make"] == ["success", "success"]
    assert sorted(prompts(sim)) == ["a cat", "a dog"]
    assert [result["prompt"] for result in outcome.xcoms["make"]] == ["a cat", "a dog"]


@pytest.mark.usefixtures("interrupted")
def test_a_mapped_operator_whose_payload_differs_between_tries_keeps_its_job(sim):
    payload = {"prompt": "a cat", "at": "{{ ti.try_number }}"}
    outcome = submit_mapped({"emails": ["a-1@example.com", "a-2@example.com"]}, payload=payload)
    assert outcome.states["make"] == ["success", "success"]
    assert [result["email"] for result in outcome.xcoms["make"]] == ["a-1@example.com", "a-2@example.com"]
    assert len(posts(sim)) == 2


@pytest.mark.usefixtures("interrupted")
def test_mapped_instances_that_came_to_mean_other_items_adopt_no_other_job(sim, logged):
    def make(animal):
        return {"prompt": animal}

    other = "{{ '%s' if ti.try_number == 1 else '%s' }}"
    animals = [other % ("a cat", "a dog"), other % ("a dog", "a cat")]
    outcome = run_function(make, over={"animal": animals})
    assert outcome.states["make"] == ["failed", "failed"]
    assert sorted(prompts(sim)) == ["a cat", "a dog"]
    text = logged()
    assert "with another payload, for another item of the list" in text
    for job in sim.submitted():
        assert f"PixverseJobSensor(job_id=...) waits for {job.id}" in text


@ended_by_hand
@pytest.mark.parametrize(("on_clear", "submits"), [("resume", 1), ("submit", 2)])
def test_a_clear_takes_up_a_job_that_is_paid_for_unless_the_user_wants_a_new_one(
    sim, mode, on_clear, submits
):
    """The task gives up waiting, and its job ends only then."""
    # Airflow 3.0 copies a DAG, and with a method its object, which this one does not allow.
    with cleared_once(first=lambda: sim.end_all_jobs()) as dag:  # noqa: PLW0108
        PixverseSubmitOperator(
            task_id="make",
            payload=PROMPT,
            completion_timeout=0.5,
            on_clear=on_clear,
            poke_interval=0.2,
            **mode,
        )
    outcome = run(dag)
    assert outcome.tries["make"] == [2]
    assert len(posts(sim)) == submits
    if on_clear == "resume":
        assert outcome.state("make") == "success"


@pytest.mark.parametrize("fate", ["completed", "failed", "moderated"])
def test_a_clear_submits_anew_after_a_success_and_after_a_job_that_failed(sim, fate):
    sim.set_fate(PROMPT["prompt"], fate)
    with cleared_once(first=lambda: sim.set_fate(PROMPT["prompt"], "completed")) as dag:
        PixverseSubmitOperator(task_id="make", payload=PROMPT, poke_interval=0.2)
    outcome = run(dag)
    assert outcome.end("make") == ("success", 2)
    assert len(sim.submitted()) == 2
    assert outcome.xcom("make")["id"] == sim.submitted()[1].id


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_clear_looks_once_more_for_a_job_of_which_nobody_could_know(sim, dying, when):
    """It submits where the job is still not found: the failure has told the user so."""
    dying(when, then=sim.end_all_jobs)
    with cleared_once() as dag:
        PixverseSubmitOperator(task_id="make", payload=PROMPT, poke_interval=0.2, retries=0)
    assert run(dag).end("make") == ("success", 2)
    assert prompts(sim) == ["a cat"]
    assert len(posts(sim)) == 1


def test_a_retry_of_a_job_that_failed_while_its_worker_died_does_not_submit_again(sim, monkeypatch):
    """The record says that the job has failed, and Airflow has not been told."""
    write_end = SubmitJournal.write_end

    def note_and_die(store, *args):
        write_end(store, *args)
        monkeypatch.setattr(SubmitJournal, "write_end", write_end)
        raise RuntimeError("the worker died")

    monkeypatch.setattr(SubmitJournal, "write_end", note_and_die)
    sim.set_fate(PROMPT["prompt"], "failed")
    assert submit().end("make") == ("failed", 2)
    assert len(posts(sim)) == 1


def test_refused_submit_is_not_unknown_although_its_record_was_not_updated(sim, monkeypatch):
    write = SubmitJournal.write

    def write_first_only(store, record):
        if record.state == "not accepted":
            monkeypatch.setattr(SubmitJournal, "write", write)
            raise RecordNotWrittenError("the API server does not answer")
        write(store, record)

    monkeypatch.setattr(SubmitJournal, "write", write_first_only)
    sim.inject(faults.rate_limit(), times=1, method="POST")
    outcome = submit_and_end(sim, retries=0)
    assert outcome.state("make") == "success"
    assert len(posts(sim)) == 2


def test_try_that_times_out_between_record_and_submit_has_sent_nothing(sim, monkeypatch):
    check = SubmitJournal.check_still_running

    def time_out(store):
        monkeypatch.setattr(SubmitJournal, "check_still_running", check)
        raise AirflowTaskTimeout("execution_timeout")  # which is no Exception

    monkeypatch.setattr(SubmitJournal, "check_still_running", time_out)
    outcome = submit_and_end(sim)
    assert outcome.end("make") == ("success", 2)
    assert len(posts(sim)) == 1


@pytest.mark.skipif(not WORKERS_HAVE_DATABASE, reason="the audit log is that of Airflow 2")
def test_a_dag_run_that_was_deleted_and_made_again_makes_its_own_video(sim):
    """Only the audit log outlives the run. ``dag.test()`` deletes the run of the same date first."""
    date = datetime(2026, 1, 2, tzinfo=UTC)
    with ending_jobs(sim, n=3):
        submitting().test(execution_date=date)
        submit()  # as SQLite gives the number of a row to the next one, if it was the last
        submitting().test(execution_date=date)
    assert len(sim.submitted()) == 3


@pytest.mark.parametrize(
    ("try_number", "state", "cancelled"),
    [(1, "running", False), (2, "running", True), (1, "failed", True)],
    ids=["a retry follows", "no retry is left", "marked as failed"],
)
def test_task_killed_on_a_worker_cancels_its_job_only_where_no_retry_follows(
    sim, monkeypatch, try_number, state, cancelled
):
    seen = []

    class Killed(PixverseSubmitOperator):
        def execute(self, context):
            if context["ti"].try_number < try_number:
                raise RuntimeError("another try")
            accepted = SubmitState(waiting_since=0.0, job_ids=(sim.start_job(),))
            flow = self._new_flow(context, accepted, is_deferrable=False)
            monkeypatch.setattr(type(flow._journal), "_state", lambda _journal: state)
            free = sim.free()
            self.on_kill()
            seen.append(sim.free() - free)

    with new_dag("killed") as dag:
        Killed(task_id="make", payload=PROMPT, cancel_on_kill=True, retries=1, retry_delay=0)
    run(dag)
    assert seen == [int(cancelled)]


def test_task_killed_on_a_worker_cancels_nothing_unless_asked(sim):
    operator = PixverseSubmitOperator(task_id="make", payload=PROMPT, durable=False)
    context = {"ti": SimpleNamespace(try_number=1)}
    state = SubmitState(waiting_since=0.0, job_ids=(sim.start_job(),))
    operator._new_flow(context, state, is_deferrable=False)
    free = sim.free()
    operator.on_kill()
    assert sim.free() == free


class Died(BaseException):
    """An end of a worker that tells the task nothing."""


@ended_by_hand
@pytest.mark.parametrize(
    "where",
    [{"deferrable": False}, {"deferrable": True, "wait_for_capacity": False}],
    ids=["worker", "deferred"],
)
def test_try_that_airflow_begins_twice_submits_once(sim, monkeypatch, where):
    """Airflow starts a try again if a container and its worker come back with the same process id."""
    execute, push = PixverseSubmitOperator.execute, Delivery.push
    dies = iter([True])

    def push_or_die(delivery, key, value):
        if key == JOB_IDS_KEY and next(dies, False):
            raise Died
        push(delivery, key, value)

    def begin_twice(operator, context):
        try:
            return execute(operator, context)
        except Died:
            sim.end_all_jobs()
            return execute(operator, context)

    monkeypatch.setattr(Delivery, "push", push_or_die)
    monkeypatch.setattr(PixverseSubmitOperator, "execute", begin_twice)
    outcome = submit(retries=0, **where)
    assert outcome.end("make") == ("success", 1)
    assert len(posts(sim)) == 1
