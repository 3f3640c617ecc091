"""Calls of a prompt to Airflow for its journal."""

from collections import Counter

import pytest

from airflow_pixverse.capabilities import HAS_TASK_STATE_STORE, WORKERS_HAVE_DATABASE
from tests.helpers.submits import submit_and_end

pytestmark = pytest.mark.skipif(WORKERS_HAVE_DATABASE, reason="Airflow 2 has no API for workers")

STORE = {"GetTaskStateStore", "SetTaskStateStore", "DeleteTaskStateStore", "ClearTaskStateStore"}
VARIABLES = {"GetVariable", "PutVariable", "DeleteVariable"}
STATE = {"GetTaskStates"}


@pytest.fixture
def calls(monkeypatch):
    """The calls of workers to Airflow, by their names."""
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    counted = Counter()
    name = "send" if hasattr(InProcessSupervisorComms, "send") else "send_request"
    send = getattr(InProcessSupervisorComms, name)

    def count(comms, *args, **kwargs):
        counted.update(type(one).__name__ for one in (*args, *kwargs.values()))
        return send(comms, *args, **kwargs)

    monkeypatch.setattr(InProcessSupervisorComms, name, count)
    return counted


def test_a_prompt_calls_airflow_at_most_eight_times_for_its_journal(sim, mode, calls):
    """Variables need more: "not found" is asked for twice, and later tries may have written some."""
    submit_and_end(sim, retries=3, **mode)
    of_journal = sum(number for name, number in calls.items() if name in STORE | VARIABLES | STATE)
    assert 0 < of_journal <= (8 if HAS_TASK_STATE_STORE else 39)


@pytest.mark.skipif(not HAS_TASK_STATE_STORE, reason="Variables have no owner")
def test_the_number_of_retries_costs_no_call(sim, mode, calls):
    submit_and_end(sim, retries=0, **mode)
    few = {name: number for name, number in calls.items() if name in STORE}
    calls.clear()
    submit_and_end(sim, n=2, retries=50, **mode)
    assert {name: number for name, number in calls.items() if name in STORE} == few
