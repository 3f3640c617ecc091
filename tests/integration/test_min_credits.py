"""Credits that an account keeps: below them, nothing is submitted."""

import json

import pytest

from airflow_pixverse.submission import acceptance
from tests.helpers.submits import ending_jobs, posts, submit

A, B = "a@example.com", "b@example.com"
pytestmark = pytest.mark.pixverse_simulator(accounts={A: 1, B: 3})


def test_submit_below_min_credits_fails_without_retry_and_submits_nothing(sim, mode, logged):
    sim.set_credits(A, 100)
    sim.set_credits(B, 40)
    outcome = submit(min_credits=100, **mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [1])
    assert posts(sim) == []
    assert f"Nothing was submitted: {B} has 40, {A} has 100, and min_credits=100 reserves them" in logged()


def test_submit_above_min_credits_goes_to_an_account_that_keeps_enough(sim, mode):
    sim.set_credits(A, 101)
    sim.set_credits(B, 40)
    with ending_jobs(sim):
        assert submit(min_credits=100, **mode).state("make") == "success"
    [job] = sim.submitted()
    assert job.payload["email"] == A


@pytest.mark.parametrize("wait_for_capacity", [True, False])
def test_submit_to_one_of_several_accounts_takes_one_that_keeps_enough(sim, wait_for_capacity):
    sim.set_credits(A, 40)
    sim.set_credits(B, 200)
    with ending_jobs(sim):
        outcome = submit(min_credits=100, emails=[A, B], wait_for_capacity=wait_for_capacity)
    assert outcome.state("make") == "success"
    [job] = sim.submitted()
    assert job.payload["email"] == B


def test_account_that_has_refused_the_job_is_not_waited_for(sim, monkeypatch):
    look, looks = acceptance.reason_not_to_submit, []

    def record(*args, is_bound):
        looks.append(is_bound)
        return look(*args, is_bound=is_bound)

    monkeypatch.setattr(acceptance, "reason_not_to_submit", record)
    sim.set_credits(B, 0)
    with ending_jobs(sim):
        assert submit(deferrable=True).state("make") == "success"
    assert [job.payload["email"] for job in sim.submitted()] == [A]
    assert looks == [False, True]


@pytest.mark.parametrize(("own", "ends"), [(None, "failed"), (10, "success")])
def test_min_credits_of_the_connection_hold_unless_the_task_has_its_own(sim, own, ends, monkeypatch):
    for email in (A, B):
        sim.set_credits(email, 50)
    extra = json.loads(sim.connection["extra"]) | {"min_credits": 60}
    connection = sim.connection | {"extra": json.dumps(extra)}
    monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(connection))
    with ending_jobs(sim, n=int(ends == "success")):
        assert submit(min_credits=own).state("make") == ends
