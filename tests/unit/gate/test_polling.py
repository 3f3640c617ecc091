"""When the gate polls: once an interval for all, sooner for newcomers and open leases."""

import asyncio
import contextvars

import pytest

from airflow_pixverse.gate import CapacityGate, WaitRequest
from tests.unit.gate.service import A, Service, a_request, in_background, settle, wait
from tests.unit.gate.virtual_time import now, on_virtual_time


@on_virtual_time
async def test_a_thousand_waiters_cost_one_call_an_interval():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    async with in_background(*(wait(gate, poke_interval=10) for _ in range(1000))):
        await asyncio.sleep(95)
    assert service.gaps == [10] * 9


@on_virtual_time
async def test_an_interval_begins_when_the_answer_has_come():
    service = Service({A: 1}, answer_seconds=3)
    service.fill()
    async with in_background(wait(service.gate(), poke_interval=10)):
        await asyncio.sleep(50)
    assert service.gaps == [13] * 3


@on_virtual_time
async def test_the_interval_is_varied_a_little():
    service = Service({A: 1})
    service.fill()
    gate = CapacityGate(service.get_capacity, clock=asyncio.get_running_loop().time)
    async with in_background(wait(gate, poke_interval=10)):
        await asyncio.sleep(200)
    assert 10 <= min(service.gaps) < max(service.gaps) <= 11


@on_virtual_time
async def test_the_shortest_interval_counts():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    async with in_background(wait(gate, poke_interval=50), wait(gate, poke_interval=5)) as (_, quick):
        await asyncio.sleep(51)
        assert service.gaps == [5] * 10
        quick.cancel()
        await asyncio.sleep(60)
        assert service.gaps == [5] * 10 + [50]


@on_virtual_time
async def test_a_shorter_interval_counts_at_once():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    async with in_background(wait(gate, poke_interval=100)):
        await asyncio.sleep(4)
        async with in_background(wait(gate, poke_interval=5)):
            await asyncio.sleep(7)
    assert service.gaps == [5, 5]


@on_virtual_time
async def test_an_interval_of_zero_does_not_hammer_the_service():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    with gate.watch(0):
        async with in_background(wait(gate, poke_interval=0)):
            await asyncio.sleep(2)
    assert set(service.gaps) == {0.1}


@on_virtual_time
async def test_a_newcomer_passes_on_a_snapshot_of_the_last_five_seconds():
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate, lease=0)
    await asyncio.sleep(4.9)
    await wait(gate, lease=0)
    assert len(service.calls) == 1


@on_virtual_time
async def test_a_newcomer_does_not_pass_on_an_older_snapshot():
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate, lease=0, poke_interval=60)
    await asyncio.sleep(5)
    [_] = service.fill()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait(gate, poke_interval=60), 30)
    assert service.gaps == [10]


@on_virtual_time
async def test_newcomers_share_a_poll_at_most_ten_seconds_after_the_last():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    async with in_background(wait(gate, poke_interval=3600)):
        for _ in range(28):
            await asyncio.sleep(1)
            waiting = in_background(wait(gate, poke_interval=3600))
            async with waiting:
                await settle()
    assert set(service.gaps) == {10}


@on_virtual_time
async def test_who_has_been_looked_at_is_no_newcomer_any_more():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    async with in_background(wait(gate, poke_interval=60)):
        await asyncio.sleep(3)
        async with in_background(wait(gate, poke_interval=60)):
            await asyncio.sleep(118)
    assert service.gaps == [60, 60]


@on_virtual_time
async def test_a_newcomer_after_a_long_pause_is_looked_at_at_once():
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate, lease=0, poke_interval=3600)
    await asyncio.sleep(1000)
    started = now()
    await wait(gate, lease=0, poke_interval=3600)
    assert now() == started
    assert service.gaps == [1000]


@on_virtual_time
async def test_a_newcomer_knows_when_it_has_been_looked_at():
    service = Service({A: 1}, answer_seconds=2)
    service.fill()
    gate = service.gate()
    with gate.queue(a_request()) as waiter:
        await asyncio.sleep(1.9)
        assert not waiter.looked_at.done()
        await asyncio.sleep(0.1)
        await settle()
        assert waiter.looked_at.done()
        assert not waiter.admitted.done()


@on_virtual_time
async def test_while_leases_are_open_and_somebody_waits_there_is_a_poll_every_ten_seconds():
    service = Service({A: 1})
    gate = service.gate()
    async with in_background(wait(gate, poke_interval=60), wait(gate, poke_interval=60)):
        await asyncio.sleep(35)
        assert service.gaps == [10, 10, 10]
        service.fill()
        await asyncio.sleep(110)
        assert service.gaps == [10, 10, 10, 10, 60]


@on_virtual_time
async def test_a_lease_of_a_newcomer_brings_the_next_poll_forward():
    service = Service({A: 1})
    gate = service.gate()
    async with in_background(wait(gate, poke_interval=60, slots=2)):
        await asyncio.sleep(4)
        await wait(gate)
        await asyncio.sleep(7)
        assert service.gaps == [10]


@on_virtual_time
async def test_leases_ask_for_nothing_when_nobody_waits():
    service = Service({A: 1})
    gate = service.gate()
    with gate.watch(60) as watcher:
        await watcher.next_capacity()
        await wait(gate)
        await asyncio.sleep(119)
    assert service.gaps == [60]


@on_virtual_time
async def test_the_last_to_leave_stops_the_polling():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    async with in_background(*(wait(gate) for _ in range(3))):
        await asyncio.sleep(25)
    await settle()
    assert len(asyncio.all_tasks()) == 1, "only this test is left"
    calls = len(service.calls)
    await asyncio.sleep(1000)
    assert len(service.calls) == calls


@on_virtual_time
async def test_somebody_who_comes_in_the_moment_in_which_the_last_one_leaves_is_served():
    service = Service({A: 1})
    [job] = service.fill()
    gate = service.gate()
    for turns in range(6):
        with gate.queue(a_request()):
            await asyncio.sleep(1)
        for _ in range(turns):
            await asyncio.sleep(0)
        with gate.queue(a_request()) as waiter:
            await asyncio.wait_for(waiter.looked_at, 11)
    service.end(job)
    await asyncio.wait_for(wait(gate), 11)


@on_virtual_time
async def test_exponential_backoff_and_max_wait_count():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    async with in_background(wait(gate, poke_interval=10, exponential_backoff=True, max_wait=45)):
        await asyncio.sleep(170)
    assert service.gaps == [10, 20, 40, 45, 45]


@on_virtual_time
async def test_exponential_backoff_goes_on_where_it_was_before_the_wait_came_here():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    since = now() - 30
    async with in_background(wait(gate, poke_interval=10, exponential_backoff=True, waiting_since=since)):
        await asyncio.sleep(200)
    assert service.calls[0] == 1002.5, "after others had time to come back"
    assert service.gaps == [42.5, 85]


@on_virtual_time
async def test_exponential_backoff_does_not_follow_the_wall_clock_when_that_is_set():
    service = Service({A: 1})
    service.fill()
    wall = 5000.0
    gate = service.gate(wall_clock=lambda: wall)
    async with in_background(wait(gate, poke_interval=10, exponential_backoff=True, waiting_since=wall)):
        await asyncio.sleep(1)
        wall += 1e6
        await asyncio.sleep(80)
    assert service.gaps == [10, 20, 40]


@on_virtual_time
async def test_a_wait_that_begins_in_the_future_has_waited_for_no_time():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    since = now() + 500
    async with in_background(wait(gate, poke_interval=10, exponential_backoff=True, waiting_since=since)):
        await asyncio.sleep(65)
    assert service.gaps == [10, 20]


@on_virtual_time
async def test_it_polls_in_no_context_of_the_task_that_came_first():
    """Else what the poll logs would land in the log of one task, even long after that has ended."""
    variable = contextvars.ContextVar("variable", default="nobody")
    seen = []
    service = Service({A: 1})
    service.fill()

    async def fetch():
        seen.append(variable.get())
        return await service.get_capacity()

    gate = CapacityGate(fetch, clock=asyncio.get_running_loop().time)
    variable.set("the first task")
    async with in_background(wait(gate)):
        await asyncio.sleep(5)
        gate._polling.cancel()
        await asyncio.sleep(15)
    assert len(seen) >= 2
    assert set(seen) == {"nobody"}


@on_virtual_time
async def test_it_decides_in_no_context_of_the_task_that_came():
    variable = contextvars.ContextVar("variable", default="nobody")
    seen = []

    class Spying(WaitRequest):
        @property
        def lease_seconds(self):
            seen.append(variable.get())
            return 0.0

    gate = Service({A: 1}).gate()
    variable.set("a task")
    for _ in range(2):
        with gate.queue(Spying()) as waiter:
            await asyncio.wait({waiter.admitted})
    assert seen == ["nobody"] * 2
