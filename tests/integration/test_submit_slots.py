"""The slots that PixverseSubmitOperator waits for: what it is given, and what it gives on."""

import itertools
import json
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_pixverse.api import errors
from airflow_pixverse.api.errors import STATUS_MEANINGS, PixverseTransientError
from airflow_pixverse.gate import capacity_gate, suspicion
from airflow_pixverse.gate.capacity_gate import CapacityGate
from airflow_pixverse.gate.lease_update import LeaseUpdate
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.simulator import faults
from airflow_pixverse.submission.delivery import Delivery
from airflow_pixverse.submission.triggerer_waits import TriggererWaits
from airflow_pixverse.waits.submit_state import SubmitState
from tests.helpers.dag_runs import AIRFLOW, new_dag, run
from tests.helpers.submits import (
    PROMPT,
    elsewhere,
    ended_by_hand,
    ending_jobs,
    posts,
    prompts,
    submit,
    submit_and_end,
)
from tests.helpers.trigger_runs import payload_of, trigger

OFF_PEAK = PROMPT | {"off_peak_mode": True}
YEAR = timedelta(days=365)


@pytest.fixture
def ended_by_airflow(monkeypatch):
    """A function that lets Airflow itself end some deferrals of a task, by their number from 1."""

    def end(operator, *numbers):
        complete, deferrals = operator.execute_complete, itertools.count(1)

        def end_or_complete(task, context, event=None):
            if next(deferrals) in numbers:
                # In "dag.test()" of Airflow 2, no task has a start.
                context["ti"].start_date = context["ti"].start_date or datetime.now(UTC)
                return task.resume_execution("__fail__", {"error": deferral_timeout()}, context)
            return complete(task, context, event)

        monkeypatch.setattr(operator, "execute_complete", end_or_complete)

    return end


def deferral_timeout():
    """Return the installed Airflow's words for a deferral that took too long."""
    if AIRFLOW.major == 2:
        return "Trigger/execution timeout"
    from airflow.models.trigger import TriggerFailureReason

    return TriggerFailureReason.TRIGGER_TIMEOUT


# A slot that is kept


@pytest.fixture
def few_events(monkeypatch):
    """A task that is admitted again and again ends after five events, as a test has to."""
    parse = SubmitState.of_event
    events = itertools.count(1)

    def parse_a_few(event):
        if next(events) > 5:
            raise RuntimeError("the task does not come to its end")
        return parse(event)

    monkeypatch.setattr(SubmitState, "of_event", parse_a_few)


def test_a_worker_that_starts_later_than_its_lease_submits_all_the_same(sim, few_events):
    outcome = submit_and_end(sim, deferrable=True, lease=0.001, retries=0)
    assert outcome.state("make") == "success"
    assert len(posts(sim)) == 1


def test_a_worker_whose_clock_is_ahead_of_the_triggerer_submits_all_the_same(sim, monkeypatch, few_events):
    late = partial(CapacityGate, wall_clock=lambda: time.time() - 180)
    monkeypatch.setattr(capacity_gate, "CapacityGate", late)
    outcome = submit_and_end(sim, deferrable=True, retries=0)
    assert outcome.state("make") == "success"
    assert len(posts(sim)) == 1


def test_a_slot_that_others_have_taken_meanwhile_is_waited_for_again(sim, monkeypatch, logged):
    """It is not submitted to be refused: the worker looks first."""
    parse = SubmitState.of_event

    def parse_late(event):
        monkeypatch.setattr(SubmitState, "of_event", parse)
        sim.fill()
        return parse(event)

    def end():
        sim.wait_for_requests(2)  # which found a free slot, and none
        sim.wait_for_requests(sim.request_count + 1)
        sim.end_all_jobs()

    monkeypatch.setattr(SubmitState, "of_event", parse_late)
    with elsewhere(end), ending_jobs(sim):
        outcome = submit(deferrable=True)
    assert outcome.state("make") == "success"
    assert [post.status for post in posts(sim)] == [200]
    assert "Slot was taken meanwhile" in logged()


def test_a_look_before_the_submit_that_fails_does_not_keep_it_from_submitting(sim, monkeypatch, logged):
    parse = SubmitState.of_event

    def parse_in_trouble(event):
        monkeypatch.setattr(SubmitState, "of_event", parse)
        sim.inject(faults.status(502), times=1, method="GET", path="scheduler/available")
        return parse(event)

    monkeypatch.setattr(SubmitState, "of_event", parse_in_trouble)
    outcome = submit_and_end(sim, deferrable=True)
    assert outcome.state("make") == "success"
    assert len(posts(sim)) == 1
    assert "Submitting without a look" in logged()


# A slot that is given on


@pytest.fixture
def told(monkeypatch):
    """Collect the updates that the gates are told."""
    updates, update_lease = [], CapacityGate.update_lease

    def listen(gate, reference, what, *more):
        updates.append(what)
        update_lease(gate, reference, what, *more)

    monkeypatch.setattr(CapacityGate, "update_lease", listen)
    return updates


@pytest.mark.parametrize("durable", [True, False])
def test_the_slot_of_a_job_that_is_not_waited_for_is_given_on(sim, told, durable):
    """The gate would never see it in the list, and keep its slot for the whole lease."""
    outcome = submit(payload=OFF_PEAK, wait_for_completion=False, deferrable=True, durable=durable)
    [job] = sim.submitted()
    assert outcome.xcom("make")["id"] == job.id
    assert outcome.xcom("make")["replyRef"] == job.payload["replyRef"]
    assert told == [LeaseUpdate.ACCEPTED]


@pytest.mark.parametrize("mode", [{"deferrable": True}, {"poke_interval": 0.1}], ids=["deferred", "worker"])
def test_submit_after_refusal_that_became_transient_gives_slot_back(sim, told, mode, monkeypatch):
    """One row of the table is all that makes a status transient."""
    transient = STATUS_MEANINGS[402]._replace(error=PixverseTransientError)
    monkeypatch.setattr(errors, "STATUS_MEANINGS", {**STATUS_MEANINGS, 402: transient})
    sim.inject(faults.status(402), times=1, method="POST")
    outcome = submit_and_end(sim, retries=0, **mode)
    assert outcome.state("make") == "success"
    assert [post.status for post in posts(sim)] == [402, 200]
    assert told == ([LeaseUpdate.RELEASED, LeaseUpdate.ACCEPTED] if "deferrable" in mode else [])


def test_submit_without_a_lease_ends_on_its_worker(sim, told):
    outcome = submit(payload=OFF_PEAK, wait_for_completion=False, deferrable=True, lease=0)
    assert outcome.xcom("make")["id"] == sim.submitted()[0].id
    assert told == []


# A retry of a wait that begins in the trigger


def begun_in_the_trigger(try_number, **kwargs):
    """A wait of a submit operator that no worker has begun."""
    one = trigger(**{"waiting_since": None, "ticket": True, "timeout": 0.5, **kwargs})
    names = {"dag_id": "submit", "run_id": "run", "task_id": "make", "map_index": -1}
    one.task_instance = SimpleNamespace(**names, try_number=try_number, start_date=datetime.now(UTC))
    return one


def test_a_retry_that_begins_in_the_trigger_is_handed_to_a_worker_without_a_look(sim):
    sim.fill()
    assert payload_of(begun_in_the_trigger(2)) == {"status": "retry"}
    assert sim.request_count == 0


def test_wait_that_is_no_retry_of_a_submit_does_not_pass_without_a_slot(sim):
    sim.fill()
    for wait in (
        begun_in_the_trigger(1),
        begun_in_the_trigger(2, ticket=False),
        begun_in_the_trigger(2, waiting_since=time.time()),
    ):
        assert payload_of(wait)["status"] == "timeout"


@ended_by_hand
@pytest.mark.parametrize("has_submitted", [True, False])
def test_a_retry_that_is_handed_over_fetches_what_is_paid_for_or_waits_for_a_slot(
    sim, monkeypatch, has_submitted, when_giving_up
):
    execute = PixverseSubmitOperator.execute

    def begin(operator, context):
        if context["ti"].try_number == 1:
            if has_submitted:
                return execute(operator, context)
            raise RuntimeError("the first try ends before it submits")
        monkeypatch.setattr(PixverseSubmitOperator, "execute", execute)
        return operator.execute_complete(context, payload_of(begun_in_the_trigger(2)))

    monkeypatch.setattr(PixverseSubmitOperator, "execute", begin)
    when_giving_up(sim.end_all_jobs)
    with elsewhere(lambda: has_submitted or (sim.wait_for_submitted(1), sim.end_all_jobs())):
        outcome = submit(completion_timeout=0.5 if has_submitted else None, deferrable=True)
    assert outcome.end("make") == ("success", 2)
    assert prompts(sim) == ["a cat"]


# Deferrals that Airflow ends


def test_a_wait_without_a_timeout_is_deferred_for_a_year_however_long_it_has_lasted(sim):
    task = PixverseSubmitOperator(task_id="make", payload=PROMPT)
    started = datetime.now(UTC) - 3 * YEAR
    waits = TriggererWaits(task, started, emails=None)
    state = SubmitState(waiting_since=started.timestamp(), job_ids=("user:1-pixverse:a@x.y-video:1",))
    for wait in (waits.for_capacity, waits.for_results):
        with pytest.raises(TaskDeferred) as deferred:
            wait(state)
        assert deferred.value.timeout == YEAR


@ended_by_hand
@pytest.mark.parametrize("deferral", [1, 2], ids=["for a slot", "for a result"])
def test_a_submit_waits_on_where_only_airflow_has_ended_its_deferral(sim, ended_by_airflow, deferral):
    ended_by_airflow(PixverseSubmitOperator, deferral)
    outcome = submit_and_end(sim, deferrable=True, retries=0)
    assert outcome.state("make") == "success"
    assert prompts(sim) == ["a cat"]


@pytest.mark.parametrize("limits", [{"capacity_timeout": 0}, {"durable": False}], ids=str)
def test_a_submit_that_may_not_wait_on_fails_with_retries(sim, ended_by_airflow, limits):
    ended_by_airflow(PixverseSubmitOperator, 1, 2)
    assert submit(deferrable=True, **limits).end("make") == ("failed", 2)
    assert posts(sim) == []


def test_a_sensor_waits_on_where_only_airflow_has_ended_its_deferral(sim, ended_by_airflow):
    ended_by_airflow(PixverseCapacitySensor, 1)
    with new_dag("wait") as dag:
        PixverseCapacitySensor(task_id="wait", deferrable=True, poke_interval=0.2, timeout=2 * 365 * 86400)
    assert run(dag).state("wait") == "success"


def test_a_sensor_whose_time_is_up_times_out_where_airflow_has_ended_its_deferral(sim, ended_by_airflow):
    ended_by_airflow(PixverseCapacitySensor, 1)
    with new_dag("wait") as dag:
        PixverseCapacitySensor(task_id="wait", deferrable=True, poke_interval=0.2, timeout=0, soft_fail=True)
    assert run(dag).state("wait") == "skipped"


# A token that is refused


def test_a_token_that_is_replaced_while_a_slot_is_waited_for_is_submitted_with(sim, mode, monkeypatch):
    monkeypatch.setattr(suspicion, "SECOND_LOOK", 60.0)
    sim.token = "user:2-rotated"

    def replace():
        sim.wait_for_requests(1)
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))

    with elsewhere(replace), ending_jobs(sim):
        outcome = submit(retries=0, **mode)
    assert outcome.state("make") == "success"
    assert prompts(sim) == ["a cat"]


def test_a_token_that_is_replaced_after_a_try_failed_is_used_by_the_retry(sim, mode, monkeypatch):
    sim.token = "user:2-rotated"
    push_failure = Delivery.push_failure

    def push_failure_and_replace(*args):
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))
        return push_failure(*args)

    monkeypatch.setattr(Delivery, "push_failure", push_failure_and_replace)
    outcome = submit_and_end(sim, **mode)
    assert outcome.end("make") == ("success", 2)
