"""Retries at the gate: they take over the lease and the turn of their earlier try."""

import asyncio

import pytest

from airflow_pixverse.api.scheduler import Capacity, ExecutingJob
from airflow_pixverse.gate.holders import Holders
from airflow_pixverse.gate.lease_update import LeaseUpdate
from airflow_pixverse.gate.leases import Lease, Leases
from tests.unit.gate.service import A, B, in_background, told, wait
from tests.unit.gate.virtual_time import now

HOUR = 3600


def a_try(gate, reference, **kwargs):
    """Wait for a slot in one try of the task instance "task"."""
    return wait(gate, **{"reference": reference, "holder": "task", **kwargs})


async def test_retry_gets_the_slot_that_is_leased_to_its_earlier_try(gate):
    await a_try(gate, "first")
    began = now()
    assert told(await a_try(gate, "second")) == [(A, 1)]
    assert now() - began < 15, "and not after the 120 s of a lease"


async def test_another_task_waits_for_the_end_of_the_lease(gate):
    await a_try(gate, "first")
    began = now()
    await a_try(gate, "other", holder="other task")
    assert now() - began == 120


async def test_retry_keeps_its_turn_although_its_lease_is_over(service, gate):
    await a_try(gate, "first")
    [job] = service.fill()
    await asyncio.sleep(1)
    async with in_background(*(a_try(gate, f"{n}", holder=f"task {n}") for n in range(2))) as others:
        await asyncio.sleep(300)
        async with in_background(a_try(gate, "second")) as [retry]:
            await asyncio.sleep(10)
            service.end(job)
            await asyncio.sleep(15)
            assert (retry.done(), [other.done() for other in others]) == (True, [False, False])


async def test_retry_keeps_its_turn_before_the_waits_of_another_dag(gate):
    await a_try(gate, "first", dag_id="one")
    await asyncio.sleep(1)
    async with in_background(a_try(gate, "other", holder="other task", dag_id="another")) as [other]:
        await asyncio.sleep(15)
        await a_try(gate, "second", dag_id="one")
        assert not other.done()


@pytest.mark.service({A: 1, B: 1})
async def test_retry_leaves_a_refused_slot_and_an_accepted_job_alone(gate):
    for reference, update in (("first", LeaseUpdate.REFUSED), ("second", LeaseUpdate.ACCEPTED)):
        await a_try(gate, reference)
        gate.update_lease(reference, update)
    await a_try(gate, "third")
    assert now() == 1010, "the first slot is kept, and the second until the next poll"


async def test_task_whose_job_is_accepted_waits_in_a_new_turn(service, gate):
    await a_try(gate, "first")
    [job] = service.fill()
    gate.update_lease("first", LeaseUpdate.ACCEPTED)
    await asyncio.sleep(10)
    async with in_background(wait(gate)) as [other]:
        await asyncio.sleep(10)
        async with in_background(a_try(gate, "of a cleared task")) as [again]:
            service.end(job)
            await asyncio.sleep(30)
            assert (other.done(), again.done()) == (True, False)


@pytest.mark.parametrize(("listed", "since"), [("other", 100.0), ("first", 500.0)])
def test_job_that_is_listed_ends_the_turn_of_its_task(listed, since):
    leases = Leases()
    leases.holders.join("task", 100.0, 10.0)
    leases.grant(Lease(None, {A: 1}, 200.0, "first", holder="task"))
    job = ExecutingJob(id="1", email=A, reply_ref=f"x#{listed}")
    leases.observe(Capacity(executing=[job]), 20.0)
    assert leases.holders.join("task", 500.0, 20.0)[0] == since


def test_turn_is_kept_as_long_as_its_holder_waits():
    holders = Holders()
    holders.join("task", 1.0, 0.0)
    holders.forget_old(9 * HOUR)
    holders.record_leave("task", 9 * HOUR)
    assert holders.join("task", 9.0, 9 * HOUR) == (1.0, False)


async def test_dag_gets_its_turn_back_for_a_slot_that_its_task_has_not_used(service, gate):
    """Let through in vain, or refused, it is back in its place."""
    [job] = service.fill()
    async with in_background(a_try(gate, "first", dag_id="one")) as [first]:
        await asyncio.sleep(1)
        async with in_background(a_try(gate, "other", holder="other task", dag_id="another")) as [other]:
            service.end(job)
            await asyncio.sleep(15)
            assert first.done()
            gate.update_lease("first", LeaseUpdate.RELEASED)
            await a_try(gate, "again", dag_id="one")
            assert not other.done()


def test_turn_is_forgotten_an_hour_after_its_holder_has_left():
    holders = Holders()
    holders.join("task", 1.0, 0.0)
    holders.record_leave("task", 2 * HOUR)
    for left, since in ((3 * HOUR - 1, 1.0), (3 * HOUR, 9.0)):
        holders.forget_old(left)
        assert (copies := Holders()).adopt(holders) is None
        assert copies.join("task", 9.0, left)[0] == since


def test_turn_is_that_of_the_earliest_try_and_unknown_holders_share_none():
    holders = Holders()
    assert [holders.join("task", since, 0.0)[0] for since in (5.0, 7.0, 3.0, 4.0)] == [5.0, 5.0, 3.0, 3.0]
    assert [holders.join("", since, 0.0)[0] for since in (5.0, 7.0)] == [5.0, 7.0]


def test_only_the_turns_left_last_are_remembered():
    holders = Holders()
    for number in range(10_010):
        holders.join(f"{number}", 1.0, 1.0)
        holders.record_leave(f"{number}", 1.0)
    holders.forget_old(2.0)
    assert [holders.join(f"{number}", 9.0, 2.0)[0] for number in (9, 10)] == [9.0, 1.0]
