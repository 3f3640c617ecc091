"""The credits that waits in the triggerer tell: asked for once a minute for all."""

import asyncio
import time

import pytest

from airflow_pixverse.simulator import faults
from airflow_pixverse.triggerer import shared_credits
from airflow_pixverse.triggers.job import PixverseJobTrigger
from tests.helpers.trigger_runs import payload, payload_of, trigger

A, B = "a@example.com", "b@example.com"
ONE = pytest.mark.pixverse_simulator(accounts={A: 8})
SEVERAL = pytest.mark.pixverse_simulator(accounts={A: 8, B: 8})


def slot(**kwargs):
    """A wait for a slot that reports credits."""
    return trigger(**{"ticket": True, "lease": 0.0, "report_credits": True, **kwargs})


def jobs(*job_ids):
    """A wait for jobs that reports credits."""
    return PixverseJobTrigger(
        job_ids=list(job_ids), poke_interval=0.2, waiting_since=time.time(), timeout=30.0, report_credits=True
    )


def asked(sim):
    return sum(one.path.rstrip("/").endswith("/features") for one in sim.requests)


@ONE
async def test_all_waits_for_slots_share_one_call(sim):
    sim.set_credits(A, 100)
    events = await asyncio.gather(*(payload(slot()) for _ in range(5)))
    assert [event["credits"] for event in events] == [{"email": A, "left": 100}] * 5
    assert asked(sim) == 1


@SEVERAL
async def test_the_credits_are_those_of_the_account_that_the_task_submits_to(sim):
    sim.set_credits(A, 100)
    sim.set_credits(B, 50)
    assert (await payload(slot(emails=[B])))["credits"] == {"email": B, "left": 50}
    assert (await payload(slot(emails=[A])))["credits"] == {"email": A, "left": 100}
    assert asked(sim) == 2


@SEVERAL
def test_without_a_chosen_account_they_are_those_of_the_account_whose_slot_it_is(sim):
    for email in (A, B):
        sim.set_credits(email, 50)
    event = payload_of(slot())
    assert event["credits"] == {"email": event["accounts"][0]["email"], "left": 50}
    assert asked(sim) == 1


@ONE
def test_a_wait_that_reports_no_credits_asks_for_none(sim):
    assert "credits" not in payload_of(slot(report_credits=False))
    assert asked(sim) == 0


@ONE
async def test_credits_are_asked_for_again_a_minute_later(sim, monkeypatch):
    sim.set_credits(A, 100)
    await payload(slot())
    sim.set_credits(A, 80)
    assert (await payload(slot()))["credits"]["left"] == 100
    monkeypatch.setattr(shared_credits, "_LIFETIME", 0.0)
    assert (await payload(slot()))["credits"]["left"] == 80


@ONE
async def test_the_credits_after_a_job_are_never_those_from_before_it(sim):
    sim.set_credits(A, 100)
    await payload(slot())
    job_ids = [sim.start_job() for _ in range(3)]
    waits = [asyncio.create_task(payload(jobs(job_id))) for job_id in job_ids]
    await asyncio.to_thread(sim.wait_for_requests, sim.request_count + 1)
    sim.set_credits(A, 40)
    sim.end_all_jobs()
    assert [event["credits"] for event in await asyncio.gather(*waits)] == [{"email": A, "left": 40}] * 3
    assert asked(sim) == 2


@ONE
async def test_trouble_with_asking_ends_nothing_and_is_not_asked_into_again(sim):
    sim.inject(faults.status(503, {"error": "PixVerse is away"}), times=None, path="features/")
    events = [await payload(slot()) for _ in range(3)]
    assert [(event["status"], event["credits"]["left"]) for event in events] == [("success", None)] * 3
    assert asked(sim) == 1


@ONE
async def test_a_service_that_is_slow_to_tell_keeps_no_slot_idle(sim, monkeypatch):
    monkeypatch.setattr(shared_credits, "_PATIENCE", 0.1)
    sim.set_credits(A, 100)
    sim.inject(faults.hold(), path="features/")
    assert (await payload(slot()))["credits"]["left"] is None
    await asyncio.to_thread(sim.wait_for_held)
    sim.release()


@ONE
def test_the_end_of_a_wait_without_a_slot_tells_no_credits(sim):
    sim.fill()
    event = payload_of(slot(timeout=0.3))
    assert (event["status"], "credits" in event) == ("timeout", False)
