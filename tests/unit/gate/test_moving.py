"""Waits, watches, trackers and leases move to another gate with their connection."""

import asyncio
from types import SimpleNamespace

import pytest

from airflow_pixverse.gate.errors import GateMovedError
from airflow_pixverse.gate.forecast import Forecast
from tests.unit.gate.service import A, a_request, in_background, settle, told, wait
from tests.unit.gate.virtual_time import now


async def test_waits_move_with_their_connection_each_with_its_own_error(service, gate):
    [job] = service.fill()
    moving = [wait(gate, connection="moving") for _ in range(3)]
    async with in_background(*moving, wait(gate, connection="staying")) as (*moved, stayed):
        gate.move_out("moving")
        await settle()
        for task in moved:
            with pytest.raises(GateMovedError, match=r"^connection 'moving' belongs to another gate now$"):
                task.result()
        assert len({id(task.exception()) for task in moved}) == 3
        assert gate.connections == {"staying"}
        service.end(job)
        await asyncio.sleep(11)
        assert told(stayed.result()) == [(A, 1)]


@pytest.mark.service({A: 1}, answer_seconds=1)
async def test_a_wait_that_is_moved_before_the_first_poll_is_looked_at(gate):
    with gate.queue(a_request(connection="c")) as waiter:
        gate.move_out("c")
        assert waiter.looked_at.done()
        with pytest.raises(GateMovedError):
            waiter.collect()


async def test_a_waiter_that_was_admitted_is_not_moved(gate):
    with gate.queue(a_request(connection="c")) as waiter:
        await asyncio.wait({waiter.admitted})
        gate.move_out("c")
        assert told(waiter.collect()) == [(A, 1)]
    assert gate._leases.slots == 1


async def test_a_watch_moves_with_its_connection_after_what_was_seen_before(gate):
    with gate.watch(10, "moving") as moved, gate.watch(10, "staying") as stayed:
        await asyncio.sleep(1)
        gate.move_out("moving")
        assert (await moved.next_capacity()).free_slots() == 1
        with pytest.raises(GateMovedError):
            await moved.next_capacity()
        await stayed.next_capacity()
        assert gate.connections == {"staying"}


async def test_trackers_move_with_their_connection(service, gate):
    job = service.start(A)
    with gate.track(job, 10, "moving") as moved, gate.track(job, 10, "staying") as stayed:
        await moved.polled
        gate.move_out("moving")
        with pytest.raises(GateMovedError):
            await moved.wait_until_unlisted()
        assert gate.connections == {"staying"}
        service.end(job)
        await stayed.wait_until_unlisted()
        assert now() == 1010


async def test_a_gate_stops_when_all_have_moved(service, gate):
    service.fill()
    async with in_background(wait(gate, connection="c")) as [task]:
        await asyncio.sleep(1)
        gate.move_out("c")
        await settle()
        assert task.done()
        assert gate.is_idle
        assert gate._polling is None


def nothing_to_fetch(gate, connection):
    """Return what fetches for a connection that leads to another gate."""
    calls = []

    async def fetch():
        calls.append(now())
        gate.move_out(connection)
        raise GateMovedError("no wait is left here")

    gate._fetch = fetch
    return calls


async def test_nothing_fails_where_all_have_moved_and_there_is_nothing_to_fetch(service, caplog):
    polls = []
    gate = service.gate(observer=SimpleNamespace(record_poll=lambda **poll: polls.append(poll)))
    calls = nothing_to_fetch(gate, "moving")
    with gate.queue(a_request(connection="moving")) as waiter:
        await asyncio.wait({waiter.admitted})
        assert isinstance(waiter.admitted.exception(), GateMovedError)
    await asyncio.sleep(100)
    assert len(calls) == 1
    assert gate.last_error is None
    assert gate.is_idle
    assert polls == caplog.messages == []


async def test_a_wait_that_stays_when_there_is_nothing_to_fetch_is_polled_for_soon(service, gate):
    calls = nothing_to_fetch(gate, "moving")
    async with in_background(wait(gate, connection="staying")) as [staying]:
        await asyncio.sleep(0.95)
        assert len(calls) == 10
        gate._fetch = service.get_capacity
        await asyncio.sleep(0.1)
        assert told(staying.result()) == [(A, 1)]


@pytest.mark.service({A: 2})
async def test_a_poll_may_move_waits_while_it_is_made(service, gate):
    """So it is when the connection turns out to hold another token."""

    async def fetch():
        gate.move_out("moving")
        return await service.get_capacity()

    gate._fetch = fetch
    async with in_background(wait(gate, connection="moving"), wait(gate)) as (moved, stayed):
        assert isinstance(moved.exception(), GateMovedError)
        assert told(stayed.result()) == [(A, 2)]


async def test_gate_that_takes_over_waits_lets_them_through_early_as_the_former_one(service, gate):
    gate._forecast._durations["video"].extend([60.0] * 3)
    gate._leases._handovers.record(8.0)
    with gate.watch(10) as watcher:
        await watcher.next_capacity()
        service.fill()
        await asyncio.sleep(40)
    service.began.clear()  # so that only the former gate knows since when the job runs
    other = service.gate()
    other.adopt_leases(gate)
    with other.queue(a_request(reference="one")) as waiter:
        await asyncio.wait({waiter.admitted})
        assert now() == pytest.approx(1050, abs=2)
        assert waiter.ahead == []


def test_gate_that_knows_as_much_keeps_what_it_has_learned():
    mine, other = Forecast(), Forecast()
    for forecast, seconds in ((mine, 10.0), (other, 99.0)):
        forecast._durations["video"].extend([seconds] * 3)
    other._durations["image"].append(5.0)
    other._used.add("job")
    mine.adopt(other)
    assert {kind: [*took] for kind, took in mine._durations.items()} == {"video": [10.0] * 3, "image": [5.0]}
    assert mine._used == {"job"}


async def test_leases_move_to_another_gate_once(service, gate):
    """So it is when the token of two connections is changed one after the other."""
    before, after = gate, service.gate()
    await wait(before, lease=50)
    for _ in range(2):
        after.adopt_leases(before)
    assert not after.is_idle
    started = now()
    await wait(after, lease=50)
    assert now() == started + 50
    assert before.is_idle


async def test_a_waiter_that_was_admitted_before_its_lease_moved_may_still_leave(service, gate):
    before, after = gate, service.gate()
    with before.queue(a_request()) as waiter:
        await asyncio.wait({waiter.admitted})
        after.adopt_leases(before)
    assert before.is_idle
    assert not after.is_idle


async def test_leases_that_are_adopted_bring_the_next_poll_forward(service, gate):
    before, after = gate, service.gate()
    await wait(before)
    service.fill()
    calls = len(service.calls)
    async with in_background(wait(after, poke_interval=60)):
        await asyncio.sleep(2)
        after.adopt_leases(before)
        await asyncio.sleep(9)
        assert len(service.calls) == calls + 2
