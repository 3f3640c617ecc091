"""State of a submit task, on its way through a trigger and back."""

import json
import time

import pytest

from airflow_pixverse.waits.submit_state import SubmitState


def test_it_comes_back_as_it_went():
    state = SubmitState(
        waiting_since=5.0,
        try_number=3,
        not_accepted=2,
        refusals=1,
        payload={"a": 1},
        job_ids=("x", "y"),
        cost_credits=20,
        credits_before=2**62,
        failure="no",
    )
    event = {"status": "success", "state": json.loads(json.dumps(state.to_json()))}
    assert SubmitState.of_event(event) == state


def test_what_another_version_has_written_is_passed_over():
    assert SubmitState.of_event({"state": {"waiting_since": 5.0, "new": 1}}) == SubmitState(waiting_since=5.0)


def test_a_wait_that_began_in_the_trigger_keeps_its_place():
    assert SubmitState.of_event({"waiting_since": 5.0}).waiting_since == 5.0


@pytest.mark.parametrize("event", [None, {}, {"state": None}])
def test_without_any_state_it_begins_now(event):
    before = time.time()
    assert before <= SubmitState.of_event(event).waiting_since <= time.time()


def test_the_pause_grows_and_has_an_end():
    state, pauses = SubmitState.new(), []
    for _ in range(9):
        state = state.after_refusal()
        pauses.append(state.pause(None))
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert state.refusals == 9


def test_the_service_may_ask_for_a_longer_pause():
    assert SubmitState.new().after_setback().pause(42.0) == 42.0
    assert SubmitState.new().after_setback().pause(1.0) == 5.0
