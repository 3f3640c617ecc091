"""Polls of a gate: once an interval for all, sooner for newcomers and open leases."""

import asyncio
import contextvars

import pytest

from airflow_pixverse.gate.capacity_gate import CapacityGate
from airflow_pixverse.gate.waiter import WaitRequest
from tests.unit.gate.service import A, a_request, in_background, settle, wait
from tests.unit.gate.virtual_time import now


async def test_a_thousand_waiters_cost_one_call_an_interval(service, gate):
    service.fill()
    async with in_background(*(wait(gate, poke_interval=10) for _ in range(1000))):
        await asyncio.sleep(95)
    assert service.gaps == [10] * 9


@pytest.mark.parametrize(
    ("waited", "options", "gaps"),
    [
        pytest.param(0, {}, [13] * 3, marks=pytest.mark.service({A: 1}, answer_seconds=3)),
        (0, {"exponential_backoff": True, "max_wait": 45}, [10, 20, 40, 45, 45]),
        # The intervals go on where they were before the wait came here, once others had time to come back.
        (30, {"exponential_backoff": True}, [42.5, 85]),
        (-500, {"exponential_backoff": True}, [10, 20, 40, 80]),
    ],
)
async def test_the_intervals_of_a_wait_follow_from_its_request(service, gate, waited, options, gaps):
    service.fill()
    async with in_background(wait(gate, waiting_since=now() - waited, **options)):
        await asyncio.sleep(12 + sum(gaps))
    assert service.gaps == gaps
    assert service.calls[0] == (1002.5 if waited > 0 else 1000)


async def test_an_interval_is_varied_by_a_tenth(service):
    service.fill()
    gate = CapacityGate(service.get_capacity, clock=asyncio.get_running_loop().time)
    async with in_background(wait(gate, poke_interval=10)):
        await asyncio.sleep(200)
    assert 10 <= min(service.gaps) < max(service.gaps) <= 11


async def test_the_shortest_interval_counts_at_once_and_as_long_as_its_wait(service, gate):
    service.fill()
    async with in_background(wait(gate, poke_interval=50)):
        await asyncio.sleep(4)
        async with in_background(wait(gate, poke_interval=5)):
            await asyncio.sleep(12)
        assert service.gaps == [5] * 3
        await asyncio.sleep(60)
        assert service.gaps == [5] * 3 + [50]


async def test_a_newcomer_passes_at_once_on_a_snapshot_of_the_last_five_seconds(service, gate):
    await wait(gate, lease=0, poke_interval=60)
    await asyncio.sleep(4.9)
    await wait(gate, lease=0, poke_interval=60)
    assert (len(service.calls), now()) == (1, 1004.9)
    await asyncio.sleep(0.1)
    service.fill()
    async with in_background(wait(gate, poke_interval=60)) as [waiting]:
        await asyncio.sleep(30)
        assert not waiting.done()
    assert service.gaps == [10]


async def test_newcomers_share_a_poll_at_most_ten_seconds_after_the_last(service, gate):
    service.fill()
    async with in_background(wait(gate, poke_interval=3600)):
        for _ in range(28):
            await asyncio.sleep(1)
            async with in_background(wait(gate, poke_interval=3600)):
                pass
    assert set(service.gaps) == {10}


async def test_a_waiter_that_was_decided_about_is_no_newcomer_any_more(service, gate):
    service.fill()
    async with in_background(wait(gate, poke_interval=60)):
        await asyncio.sleep(3)
        async with in_background(wait(gate, poke_interval=60)):
            await asyncio.sleep(118)
    assert service.gaps == [60, 60]


async def test_a_newcomer_after_a_long_pause_is_polled_for_at_once(service, gate):
    for _ in range(2):
        await wait(gate, lease=0, poke_interval=3600)
        await asyncio.sleep(1000)
    assert service.gaps == [1000]


@pytest.mark.service({A: 1}, answer_seconds=2)
async def test_a_newcomer_is_marked_as_looked_at_once_it_is_decided_about(service, gate):
    service.fill()
    with gate.queue(a_request()) as waiter:
        await asyncio.sleep(1.9)
        assert not waiter.looked_at.done()
        await asyncio.sleep(0.2)
        assert waiter.looked_at.done()
        assert not waiter.admitted.done()


async def test_while_leases_are_open_and_a_wait_is_queued_there_is_a_poll_every_ten_seconds(service, gate):
    async with in_background(wait(gate, poke_interval=60), wait(gate, poke_interval=60)):
        await asyncio.sleep(35)
        assert service.gaps == [10, 10, 10]
        service.fill()
        await asyncio.sleep(110)
        assert service.gaps == [10, 10, 10, 10, 60]


async def test_a_lease_of_a_newcomer_brings_the_next_poll_forward(service, gate):
    async with in_background(wait(gate, poke_interval=60, slots=2)):
        await asyncio.sleep(4)
        await wait(gate)
        await asyncio.sleep(7)
        assert service.gaps == [10]


async def test_leases_cause_no_poll_when_no_wait_is_queued(service, gate):
    with gate.watch(60) as watcher:
        await watcher.next_capacity()
        await wait(gate)
        await asyncio.sleep(119)
    assert service.gaps == [60]


@pytest.mark.service({A: 2})
@pytest.mark.parametrize("is_behind", [False, True])
async def test_job_about_to_end_brings_a_poll_forward_only_for_a_wait_that_may_have_its_slot_early(
    service, gate, is_behind
):
    """One for many slots may not, nor those behind it."""
    gate._forecast._durations["video"].extend([60.0] * 3)
    gate._leases._handovers.record(25.0)
    with gate.watch(20) as watcher:
        await watcher.next_capacity()
        service.fill()
        await watcher.next_capacity()
        ahead = [wait(gate, slots=2, poke_interval=20, waiting_since=now() - 5)] if is_behind else []
        async with in_background(*ahead, wait(gate, poke_interval=20, reference="one", holder="one")):
            await asyncio.sleep(60)
    assert (min(service.gaps) == 20) is is_behind


@pytest.mark.service({A: 2})
async def test_job_about_to_end_brings_no_poll_forward_where_a_sensor_has_a_lease_on_its_account(
    service, gate
):
    """No job has the reference of that lease, so nobody passes early behind it."""
    gate._forecast._durations["video"].extend([60.0] * 3)
    gate._leases._handovers.record(25.0)
    service.start(A)
    with gate.watch(5) as watcher:
        await watcher.next_capacity()
        await wait(gate, poke_interval=5, lease=600)
        async with in_background(wait(gate, poke_interval=5, reference="one", holder="one")):
            await asyncio.sleep(85)
    assert min(service.gaps) == 5


async def test_the_last_to_leave_stops_the_polling(service, gate):
    service.fill()
    async with in_background(*(wait(gate) for _ in range(3))):
        await asyncio.sleep(25)
    await settle()
    assert len(asyncio.all_tasks()) == 1, "only this test is left"
    calls = len(service.calls)
    await asyncio.sleep(1000)
    assert len(service.calls) == calls


async def test_a_wait_that_comes_as_the_last_one_leaves_is_served(service, gate):
    [job] = service.fill()
    for turns in range(6):
        with gate.queue(a_request()):
            await asyncio.sleep(1)
        for _ in range(turns):
            await asyncio.sleep(0)
        with gate.queue(a_request()) as waiter:
            await asyncio.wait_for(waiter.looked_at, 11)
    service.end(job)
    await asyncio.wait_for(wait(gate), 11)


async def test_exponential_backoff_does_not_follow_the_wall_clock_when_that_is_set(service):
    service.fill()
    wall = 5000.0
    gate = service.gate(wall_clock=lambda: wall)
    async with in_background(wait(gate, poke_interval=10, exponential_backoff=True, waiting_since=wall)):
        await asyncio.sleep(1)
        wall += 1e6
        await asyncio.sleep(80)
    assert service.gaps == [10, 20, 40]


async def test_polls_and_decisions_run_in_no_context_of_a_task(service):
    """Else their log lines would land in the log of one task, even long after that has ended."""
    variable = contextvars.ContextVar("variable", default="no task")
    polls, decisions = [], []

    class Spying(WaitRequest):
        @property
        def lease_seconds(self):
            decisions.append(variable.get())
            return 0.0

    async def fetch():
        polls.append(variable.get())
        return await service.get_capacity()

    gate = CapacityGate(fetch, clock=asyncio.get_running_loop().time)
    variable.set("a task")
    for _ in range(2):
        with gate.queue(Spying()) as waiter:
            await asyncio.wait({waiter.admitted})
    service.fill()
    await asyncio.sleep(6)
    async with in_background(wait(gate)):
        gate._polling.cancel()
        await asyncio.sleep(25)
    assert decisions == ["no task"] * 2
    assert len(polls) >= 3
    assert set(polls) == {"no task"}
