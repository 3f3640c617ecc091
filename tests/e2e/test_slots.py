"""Slots that a gate keeps for a submit, where workers take seconds to start."""

import pytest

ACCOUNT = "few@example.com"


@pytest.fixture
def slots(few_slots):
    """The service with two slots, both free."""
    few_slots.end_all_jobs()
    few_slots.set_max_jobs(ACCOUNT, 2)
    return few_slots


def test_a_worker_that_starts_later_than_its_lease_submits_all_the_same(airflow, slots):
    run = airflow.trigger("late_worker")
    airflow.wait_until(lambda: slots.submitted(prompt="late"), lambda: f"{airflow.outcome(run)}")
    slots.end_all_jobs()
    assert airflow.wait_for(run).task("make").state == "success"
    assert len(slots.submitted(prompt="late")) == 1


def test_jobs_that_are_not_waited_for_give_their_slots_on_although_they_are_never_listed(airflow, slots):
    """Four jobs on one slot, which each would keep for an hour."""
    slots.set_max_jobs(ACCOUNT, 1)
    outcome = airflow.wait_for(airflow.trigger("not_waited_for"))
    jobs = [slots.submitted(prompt=f"off peak {number}") for number in range(4)]
    assert [task.xcom["id"] for task in outcome.mapped("make")] == [job.id for [job] in jobs]


def test_a_retry_fetches_what_is_paid_for_while_no_slot_is_free(airflow, slots):
    run = airflow.trigger("fetched_by_a_retry")
    airflow.wait_until(lambda: slots.submitted(prompt="fetched"), lambda: f"{airflow.outcome(run)}")
    [job] = slots.submitted(prompt="fetched")
    [other] = slots.fill()
    slots.set_max_jobs(ACCOUNT, 1)
    airflow.wait_until_logged(run, "make", f"Waiting for {job.id}, which try 1 submitted")
    slots.end_job(job.id)

    assert airflow.wait_for(run).task("make").xcom["id"] == job.id
    assert slots.free() == 0
    slots.end_job(other)  # nobody else has
    assert len(slots.submitted(prompt="fetched")) == 1
