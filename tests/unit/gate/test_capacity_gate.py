"""The gate: one slot for one wait, and a turn for each in the end."""

import asyncio
import gc
import logging
from contextlib import AsyncExitStack

import pytest

from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.gate.lease_update import LeaseUpdate
from tests.unit.gate.service import A, B, a_request, in_background, settle, told, wait
from tests.unit.gate.virtual_time import now


@pytest.mark.service({A: 3})
async def test_a_wait_passes_at_once_where_slots_are_free_and_nothing_is_logged(service, gate, caplog):
    caplog.set_level(logging.INFO)
    assert told(await wait(gate)) == [(A, 3)]
    assert (service.calls, now()) == ([1000], 1000)
    assert caplog.messages == []


async def test_one_free_slot_admits_one_waiter_the_first_that_came(service, gate):
    [job] = service.fill()
    async with in_background(*(wait(gate) for _ in range(5))) as waiting:
        await asyncio.sleep(15)
        service.end(job)
        await asyncio.sleep(25)
        assert [task.done() for task in waiting] == [True, False, False, False, False]


@pytest.mark.service({A: 2})
async def test_dags_of_equal_priority_take_turns_and_an_urgent_wait_passes_both(service, gate):
    jobs = service.fill()
    many = [wait(gate, dag_id="many") for _ in range(4)]
    few = [wait(gate, dag_id="few") for _ in range(2)]
    async with in_background(*many, *few, wait(gate, dag_id="many", priority=2)) as waiting:
        await asyncio.sleep(10)
        turns = []
        for _ in range(3):
            for job in jobs:
                service.end(job)
            await asyncio.sleep(61)
            turns.append([place for place, task in enumerate(waiting) if task.done()])
            jobs = service.fill()
            await asyncio.sleep(61)
        assert turns == [[0, 6], [0, 1, 4, 6], [0, 1, 2, 4, 5, 6]]


@pytest.mark.service({A: 2})
async def test_the_lease_ends_when_the_job_shows_up_and_the_next_slot_goes_to_the_next(service, gate):
    async with in_background(*(wait(gate) for _ in range(4))) as waiting:
        await asyncio.sleep(1)
        assert [task.done() for task in waiting] == [True, True, False, False]
        jobs = service.fill()
        await asyncio.sleep(10)
        service.end(jobs[0])
        await asyncio.sleep(10)
        assert [task.done() for task in waiting] == [True, True, True, False]


@pytest.mark.service({A: 2, B: 1})
async def test_waiters_admitted_one_after_the_other_get_different_slots(gate):
    assert [told(await wait(gate)) for _ in range(3)] == [[(A, 2), (B, 1)], [(A, 1), (B, 1)], [(B, 1)]]


@pytest.mark.parametrize(("lease", "seconds"), [(95, 100), (None, 120)])
async def test_an_unused_lease_ends_with_the_first_poll_after_its_time(gate, lease, seconds):
    await wait(gate, lease=lease)
    started = now()
    await wait(gate)
    assert now() - started == seconds


@pytest.mark.service({A: 3})
async def test_a_large_request_is_not_starved_by_small_ones_behind_it(service, gate):
    jobs = service.fill()
    async with in_background(wait(gate, slots=3), *(wait(gate) for _ in range(5))) as (large, *small):
        for job in jobs:
            await asyncio.sleep(12)
            assert not large.done()
            service.end(job)
        await asyncio.sleep(12)
        assert large.done()
        assert not any(task.done() for task in small)


async def test_the_oldest_wait_is_first_even_when_it_comes_back_last(service, gate):
    [job] = service.fill()
    async with in_background(wait(gate), wait(gate, waiting_since=now() - 5)) as (younger, older):
        await asyncio.sleep(5)
        service.end(job)
        await asyncio.sleep(10)
        assert (younger.done(), older.done()) == (False, True)


async def test_interrupted_waits_come_back_before_the_oldest_is_admitted(service, gate):
    waiting = {}
    async with AsyncExitStack() as stack:
        for waited in (20, 30, 50, 40):
            coming = in_background(wait(gate, waiting_since=now() - waited))
            [waiting[waited]] = await stack.enter_async_context(coming)
            await asyncio.sleep(1)
        await asyncio.sleep(5)
        assert [waited for waited, task in waiting.items() if task.done()] == [50]
    assert len(service.calls) == 1


@pytest.mark.service({A: 1}, answer_seconds=2)
async def test_interrupted_waits_that_come_back_during_the_first_call_are_waited_for_too(service, gate):
    async with in_background(wait(gate)) as [young]:
        await asyncio.sleep(1)
        async with in_background(wait(gate, waiting_since=now() - 60)) as [old]:
            await asyncio.sleep(2.4)
            assert (young.done(), old.done()) == (False, False)
            await asyncio.sleep(0.2)
            assert (young.done(), old.done()) == (False, True)
    assert len(service.calls) == 1


@pytest.mark.service({A: 9})
async def test_waits_that_come_late_to_a_gate_at_work_hold_up_no_other(gate):
    await wait(gate, lease=0)
    for _ in range(10):
        started = now()
        await wait(gate, waiting_since=now() - 15, poke_interval=1, lease=0)
        assert now() - started < 2
        await asyncio.sleep(2)


@pytest.mark.parametrize("collects", [True, False])
async def test_a_slot_is_kept_for_a_waiter_that_has_left_only_if_it_has_collected(gate, collects):
    with gate.queue(a_request()) as waiter:
        await asyncio.wait({waiter.admitted})
        if collects:
            waiter.collect()
    async with in_background(wait(gate)) as [waiting]:
        await asyncio.sleep(15)
        assert waiting.done() is not collects


async def test_a_waiter_that_gave_up_its_future_gets_no_slot(gate):
    """``asyncio.wait_for(waiter.admitted, ...)`` cancels the future when its time is up."""
    with gate.queue(a_request()) as given_up:
        given_up.admitted.cancel()
        await asyncio.wait_for(wait(gate), 15)
        assert given_up.lease is not None, "it was its turn first"
    assert gate._leases.slots == 1


async def test_a_newcomer_that_leaves_and_an_update_of_no_lease_bring_no_poll_forward(service, gate):
    service.fill()
    async with in_background(wait(gate, poke_interval=60)):
        await asyncio.sleep(7)
        with gate.queue(a_request(poke_interval=60)):
            pass
        for update in LeaseUpdate:
            gate.update_lease("unknown", update)
        await asyncio.sleep(60)
    assert service.gaps == [60]


async def test_an_error_that_no_owner_collects_is_no_complaint_of_asyncio(gate):
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    with gate.queue(a_request(connection="c")):
        gate.move_out("c")
    with gate.queue(a_request()) as waiter:
        waiter.admitted.cancel()
    del waiter
    gc.collect()
    assert complaints == []


@pytest.mark.service({A: 2, B: 3})
async def test_a_description_says_where_a_wait_stands(service, gate):
    service.start(A)
    service.start(B)
    with gate.queue(a_request(slots=9, emails=frozenset({A, "x@y", "b@y"}))) as first:
        assert gate.describe(first) == "place 1 of 1"
        await wait(gate, emails=frozenset({A}))
        await wait(gate, emails=frozenset({B}))
        with gate.queue(a_request(slots=3)) as second:
            await second.looked_at
            assert gate.describe(first) == (
                "place 1 of 2; 1 free, 9 wanted; 1 leased to others; "
                "The API lists no account b@y, x@y: is the e-mail right?; "
                "The chosen accounts run 2 jobs at once: 9 slots are never free together"
            )
            assert gate.describe(second) == "place 2 of 2; 3 free, 3 wanted; 2 leased to others"
            assert (gate.place(first), gate.place(second)) == (1, 2)
            service.errors = [PixverseTransientError("busy")]
            await asyncio.sleep(10)
            assert gate.describe(second) == "place 2 of 2; last API error: busy"


async def test_arrivals_of_one_moment_are_decided_about_together(service, gate):
    await wait(gate, lease=0)
    decisions = []
    admit = gate._admit
    gate._admit = lambda *args: decisions.append(now()) or admit(*args)
    async with in_background(*(wait(gate, lease=0) for _ in range(100))) as together:
        assert not together[0].done(), "the last decision was made in the same moment"
        await asyncio.sleep(0.05)
        await settle()
        assert all(task.done() for task in together)
    assert decisions == pytest.approx([1000.05])
    assert len(service.calls) == 1


async def test_a_gate_is_idle_without_waits_watches_and_open_leases(gate):
    assert gate.is_idle
    with gate.queue(a_request(lease=0)):
        assert not gate.is_idle
    assert gate.is_idle
    with gate.watch(10):
        assert not gate.is_idle
    assert gate.is_idle
    await wait(gate, lease=50)
    assert not gate.is_idle
    await asyncio.sleep(50)
    assert gate.is_idle


async def test_a_gate_knows_the_connections_of_its_waits_and_watches(gate):
    assert gate.connections == set()
    with gate.queue(a_request(connection="one")), gate.queue(a_request(connection="one")):
        with gate.watch(10, "two"), gate.watch(10):
            assert gate.connections == {"one", "two", ""}
        assert gate.connections == {"one"}
    assert gate.connections == set()


@pytest.mark.parametrize(
    ("failures", "after", "admitted_at", "gaps"),
    [(0, 1, 1001, []), (0, 8, 1010, [10]), (3, 8, 1080, [10, 10, 20, 40])],
)
async def test_a_released_slot_goes_to_the_next_wait_at_once_or_with_the_next_good_poll(
    service, failures, after, admitted_at, gaps
):
    service.errors = [None, *[PixverseTransientError("down")] * failures]
    gate = service.gate()
    await wait(gate, reference="one", poke_interval=60)
    async with in_background(wait(gate, reference="two", poke_interval=60)) as [waiting]:
        await asyncio.sleep(after)
        gate.update_lease("one", LeaseUpdate.RELEASED)
        await asyncio.wait({waiting})
    assert (now(), service.gaps) == (admitted_at, gaps)


@pytest.mark.parametrize(
    ("update", "seconds"), [(None, 20), (LeaseUpdate.ACCEPTED, 10), (LeaseUpdate.REFUSED, 180)]
)
async def test_an_update_ends_a_lease_earlier_or_later_than_its_time(gate, update, seconds):
    """A job at off-peak times is never listed: only its holder knows that it is accepted."""
    await wait(gate, reference="one", lease=20)
    if update:
        gate.update_lease("one", update)
    started = now()
    await wait(gate, reference="two")
    assert now() - started == seconds
