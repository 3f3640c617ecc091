"""The gate: one slot for one, and everybody's turn in the end."""

import asyncio
import gc

import pytest

from airflow_pixverse.api.errors import PixverseTransientError
from tests.unit.gate.service import A, B, Service, a_request, in_background, settle, tasks, told, wait
from tests.unit.gate.virtual_time import now, on_virtual_time


@on_virtual_time
async def test_a_free_slot_admits_at_once():
    service = Service({A: 3})
    started = now()
    assert told(await wait(service.gate())) == [(A, 3)]
    assert now() == started
    assert len(service.calls) == 1


@on_virtual_time
async def test_one_free_slot_admits_one_waiter_the_first_that_came():
    service = Service({A: 1})
    [job] = service.fill()
    gate = service.gate()
    async with in_background(*(wait(gate) for _ in range(5))) as waiting:
        await asyncio.sleep(15)
        service.end(job)
        await asyncio.sleep(25)
        assert [task.done() for task in waiting] == [True, False, False, False, False]


@on_virtual_time
async def test_the_lease_ends_when_the_job_shows_up_and_the_next_slot_goes_to_the_next():
    service = Service({A: 2})
    gate = service.gate()
    async with in_background(*(wait(gate) for _ in range(4))) as waiting:
        await asyncio.sleep(1)
        assert [task.done() for task in waiting] == [True, True, False, False]
        jobs = service.fill()
        await asyncio.sleep(10)
        service.end(jobs[0])
        await asyncio.sleep(10)
        assert [task.done() for task in waiting] == [True, True, True, False]


@on_virtual_time
async def test_a_lease_that_nobody_uses_ends():
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate, lease=95)
    started = now()
    await wait(gate)
    assert now() - started == 100


@on_virtual_time
async def test_a_lease_lasts_two_minutes_by_default():
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate)
    started = now()
    await wait(gate)
    assert now() - started == 120


@on_virtual_time
async def test_without_lease_a_slot_is_not_kept():
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate, lease=0)
    await wait(gate, lease=0)
    assert len(service.calls) == 1, "the second was told from the same snapshot"


@on_virtual_time
async def test_leases_are_kept_apart_by_account():
    service = Service({A: 1, B: 1})
    gate = service.gate()
    assert told(await wait(gate, emails=frozenset({A}))) == [(A, 1)]
    assert told(await wait(gate, emails=frozenset({B}))) == [(B, 1)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait(gate), 5)


@on_virtual_time
async def test_a_lease_without_emails_counts_against_each_account():
    service = Service({A: 1, B: 1})
    gate = service.gate()
    await wait(gate)
    for email in (A, B):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(gate, emails=frozenset({email})), 5)
    await asyncio.wait_for(wait(gate), 6)


@on_virtual_time
async def test_waiters_admitted_one_after_the_other_are_told_different_slots():
    service = Service({A: 2, B: 1})
    gate = service.gate()
    assert [told(await wait(gate)) for _ in range(3)] == [[(A, 2), (B, 1)], [(A, 1), (B, 1)], [(B, 1)]]


@on_virtual_time
async def test_a_large_request_is_not_starved_by_small_ones_behind_it():
    service = Service({A: 3})
    jobs = service.fill()
    gate = service.gate()
    async with in_background(wait(gate, slots=3), *(wait(gate) for _ in range(5))) as (large, *small):
        for job in jobs:
            await asyncio.sleep(12)
            assert not large.done()
            service.end(job)
        await asyncio.sleep(12)
        assert large.done()
        assert not any(task.done() for task in small)


@on_virtual_time
async def test_a_large_request_does_not_block_other_accounts():
    service = Service({A: 2, B: 1})
    service.start(A)
    gate = service.gate()
    large = wait(gate, slots=2, emails=frozenset({A}))
    other = wait(gate, emails=frozenset({B}), lease=12)
    async with in_background(large, other, wait(gate)) as (large, other, anybody):
        await asyncio.sleep(1)
        assert (large.done(), other.done(), anybody.done()) == (False, True, False)
        await asyncio.sleep(25)
        assert told(anybody.result()) == [(B, 1)]


@on_virtual_time
async def test_a_request_for_more_than_the_api_can_run_blocks_nobody():
    service = Service({A: 2})
    gate = service.gate()
    with gate.queue(a_request(slots=3)):
        await asyncio.wait_for(wait(gate), 5)


@on_virtual_time
async def test_who_began_to_wait_first_is_first_even_when_it_comes_back_last():
    service = Service({A: 1})
    [job] = service.fill()
    gate = service.gate()
    async with in_background(wait(gate), wait(gate, waiting_since=now() - 5)) as (younger, older):
        await asyncio.sleep(5)
        service.end(job)
        await asyncio.sleep(10)
        assert (younger.done(), older.done()) == (False, True)


@on_virtual_time
async def test_interrupted_waits_come_back_before_anybody_is_admitted():
    service = Service({A: 1})
    gate = service.gate()
    order = []

    async def come_back(waited):
        await wait(gate, waiting_since=now() - waited)
        order.append(waited)

    coming = []
    for waited in (20, 30, 50, 40):
        coming += tasks(come_back(waited))
        await asyncio.sleep(1)
    await asyncio.sleep(5)
    assert order == [50]
    assert len(service.calls) == 1
    for task in coming:
        task.cancel()


@on_virtual_time
async def test_interrupted_waits_that_come_back_during_the_first_call_are_waited_for_too():
    service = Service({A: 1}, answer_seconds=2)
    gate = service.gate()
    async with in_background(wait(gate)) as [young]:
        await asyncio.sleep(1)
        async with in_background(wait(gate, waiting_since=now() - 60)) as [old]:
            await asyncio.sleep(1.5)
            assert not young.done()
            await asyncio.sleep(13)
            assert (young.done(), old.done()) == (False, True)


@on_virtual_time
async def test_what_the_first_call_found_counts_once_interrupted_waits_have_come_back():
    service = Service({A: 9}, answer_seconds=2)
    gate = service.gate()
    async with in_background(wait(gate)) as [young]:
        await asyncio.sleep(1)
        async with in_background(wait(gate, waiting_since=now() - 60)) as [old]:
            await asyncio.sleep(2.4)
            assert not young.done()
            assert not old.done()
            await asyncio.sleep(0.2)
            assert young.done()
            assert old.done()
    assert len(service.calls) == 1


@on_virtual_time
async def test_waits_that_come_late_to_a_gate_at_work_hold_up_nobody():
    service = Service({A: 9})
    gate = service.gate()
    await wait(gate, lease=0)
    for _ in range(10):
        started = now()
        await wait(gate, waiting_since=now() - 15, poke_interval=1, lease=0)
        assert now() - started < 2
        await asyncio.sleep(2)


@on_virtual_time
async def test_who_is_cancelled_before_it_could_collect_leaves_no_trace():
    service = Service({A: 1})
    gate = service.gate()
    with gate.queue(a_request()) as waiter:
        await asyncio.wait({waiter.admitted})
    await asyncio.wait_for(wait(gate), 15)


@on_virtual_time
async def test_who_has_collected_keeps_its_slot():
    service = Service({A: 1})
    gate = service.gate()
    with gate.queue(a_request()) as waiter:
        await asyncio.wait({waiter.admitted})
        waiter.collect()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait(gate), 100)


@on_virtual_time
async def test_who_gave_up_its_future_gets_no_slot_and_ends_nothing():
    """``asyncio.wait_for(waiter.admitted, ...)`` cancels the future when its time is up."""
    service = Service({A: 1})
    gate = service.gate()
    with gate.queue(a_request()) as given_up:
        given_up.admitted.cancel()
        await asyncio.wait_for(wait(gate), 15)
        assert given_up.lease is not None, "it was its turn first"
    assert gate._leases.slots == 1


@on_virtual_time
async def test_who_leaves_before_it_was_looked_at_hurries_nobody():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    async with in_background(wait(gate, poke_interval=60)):
        await asyncio.sleep(7)
        with gate.queue(a_request(poke_interval=60)):
            pass
        await asyncio.sleep(60)
    assert service.gaps == [60]


@on_virtual_time
async def test_who_leaves_without_looking_at_an_error_does_not_make_asyncio_complain():
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    gate = Service({A: 1}).gate()
    with gate.queue(a_request(connection="c")):
        gate.move_out("c")
    with gate.queue(a_request()) as waiter:
        waiter.admitted.cancel()
    del waiter
    gc.collect()
    assert complaints == []


@on_virtual_time
async def test_where_a_wait_stands_is_told_in_words():
    service = Service({A: 2, B: 3})
    service.start(A)
    service.start(B)
    gate = service.gate()
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


@on_virtual_time
async def test_arrivals_of_one_moment_are_decided_about_together():
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate, lease=0)
    started = now()
    decisions = 0
    admit = gate._admit

    def count(*args):
        nonlocal decisions
        decisions += 1
        admit(*args)

    gate._admit = count
    async with in_background(*(wait(gate, lease=0) for _ in range(100))) as together:
        assert not together[0].done(), "the last decision was made in the same moment"
        await asyncio.sleep(0.05)
        await settle()
        assert all(task.done() for task in together)
        assert decisions == 1
        assert now() - started == pytest.approx(0.05)
        assert len(service.calls) == 1


@on_virtual_time
async def test_the_first_arrival_after_a_while_is_decided_about_at_once():
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate, lease=0)
    await asyncio.sleep(1)
    started = now()
    await wait(gate, lease=0)
    assert now() == started


@on_virtual_time
async def test_a_gate_is_idle_when_nobody_waits_or_watches_and_no_lease_is_open():
    service = Service({A: 1})
    gate = service.gate()
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


@on_virtual_time
async def test_it_knows_the_connections_of_those_who_wait_or_watch():
    gate = Service({A: 1}).gate()
    assert gate.connections == set()
    with gate.queue(a_request(connection="one")), gate.queue(a_request(connection="one")):
        with gate.watch(10, "two"), gate.watch(10):
            assert gate.connections == {"one", "two", ""}
        assert gate.connections == {"one"}
    assert gate.connections == set()
