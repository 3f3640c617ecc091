"""Who watches sees every snapshot, and who waits or watches can be moved to another gate."""

import asyncio
from types import SimpleNamespace

import pytest

from airflow_pixverse.api.errors import PixverseAuthError, PixverseTransientError
from airflow_pixverse.gate import GateMovedError
from tests.unit.gate.service import A, Service, a_request, in_background, settle, told, wait
from tests.unit.gate.virtual_time import now, on_virtual_time


@on_virtual_time
async def test_who_watches_shares_the_poll():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    async with in_background(wait(gate, poke_interval=10)):
        with gate.watch(10) as watcher, gate.watch(10) as another:
            for one in (watcher, another):
                seen = [await one.next_capacity() for _ in range(5)]
                assert [capacity.free_slots() for capacity in seen] == [0] * 5
                assert now() == 1050, "one poll for both"
    assert service.gaps == [10] * 5


@on_virtual_time
async def test_snapshots_that_come_while_the_watcher_is_busy_are_kept_in_order():
    service = Service({A: 3})
    gate = service.gate()
    with gate.watch(10) as watcher:
        for _ in range(3):
            await asyncio.sleep(9)
            service.start(A)
            await asyncio.sleep(1)
        await asyncio.sleep(5)
        seen = [(await watcher.next_capacity()).free_slots() for _ in range(4)]
        assert seen == [3, 2, 1, 0]
        assert now() == 1035
        await watcher.next_capacity()
        assert now() == 1040


@on_virtual_time
async def test_no_more_than_a_hundred_are_kept():
    service = Service({A: 300})
    gate = service.gate()
    with gate.watch(1) as watcher:
        for _ in range(150):
            await settle()
            service.start(A)
            await asyncio.sleep(1)
        await settle()
        assert (await watcher.next_capacity()).free_slots() == 300 - 51
        for _ in range(99):
            capacity = await watcher.next_capacity()
        assert capacity.free_slots() == 150
        assert not watcher._snapshots


@on_virtual_time
async def test_a_watcher_that_comes_to_a_gate_at_work_sees_something_soon():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    async with in_background(wait(gate, poke_interval=3600)):
        await asyncio.sleep(7)
        with gate.watch(3600) as watcher:
            await watcher.next_capacity()
            assert now() == 1010
            await watcher.next_capacity()
            assert now() == 4610


@on_virtual_time
async def test_who_stops_watching_stops_the_polling():
    service = Service({A: 1})
    gate = service.gate()
    with gate.watch(10) as watcher:
        await watcher.next_capacity()
    await settle()
    assert len(asyncio.all_tasks()) == 1
    await asyncio.sleep(100)
    assert len(service.calls) == 1


@on_virtual_time
async def test_a_watcher_hears_of_no_transient_error():
    service = Service({A: 1}, errors=[PixverseTransientError("busy"), ZeroDivisionError()])
    with service.gate().watch(10) as watcher:
        await watcher.next_capacity()
    assert service.gaps == [10, 20]


@on_virtual_time
async def test_a_fatal_error_ends_a_watch_after_what_was_seen_before():
    service = Service({A: 1}, errors=[None, PixverseAuthError("no"), PixverseAuthError("no")])
    gate = service.gate()
    with gate.watch(10) as watcher, gate.watch(10) as another:
        await asyncio.sleep(20)
        assert (await watcher.next_capacity()).free_slots() == 1
        errors = []
        for one in (watcher, watcher, another):
            if one is another:
                await one.next_capacity()
            with pytest.raises(PixverseAuthError, match="no") as caught:
                await one.next_capacity()
            errors.append(caught.value)
        assert errors[0] is errors[1] is not errors[2]
        assert gate.is_idle
        await asyncio.sleep(1000)
        assert service.gaps == [10, 5]
    with gate.watch(10) as watcher:
        await watcher.next_capacity()


@on_virtual_time
async def test_a_watcher_that_waits_is_woken_by_a_fatal_error():
    service = Service({A: 1}, errors=[PixverseAuthError("no"), PixverseAuthError("no")])
    with service.gate().watch(10) as watcher, pytest.raises(PixverseAuthError):
        await watcher.next_capacity()
    assert now() == 1005


@on_virtual_time
async def test_waits_are_moved_with_their_connection():
    service = Service({A: 1})
    [job] = service.fill()
    gate = service.gate()
    moving = [wait(gate, connection="moving") for _ in range(3)]
    async with in_background(*moving, wait(gate, connection="staying")) as (*moved, stayed):
        gate.move_out("moving")
        await settle()
        for task in moved:
            with pytest.raises(GateMovedError, match=r"^connection 'moving' belongs to another gate now$"):
                task.result()
        assert len({id(task.exception()) for task in moved}) == 3
        assert gate.connections == {"staying"}
        assert gate._newcomers == set()
        service.end(job)
        await asyncio.sleep(11)
        assert told(stayed.result()) == [(A, 1)]


@on_virtual_time
async def test_a_wait_that_is_moved_while_it_is_new_is_no_newcomer_any_more():
    service = Service({A: 1}, answer_seconds=1)
    gate = service.gate()
    with gate.queue(a_request(connection="c")) as waiter:
        gate.move_out("c")
        assert gate._newcomers == set()
        assert waiter.looked_at.done()
        with pytest.raises(GateMovedError):
            waiter.collect()


@on_virtual_time
async def test_a_waiter_that_was_admitted_is_not_moved():
    service = Service({A: 1})
    gate = service.gate()
    with gate.queue(a_request(connection="c")) as waiter:
        await asyncio.wait({waiter.admitted})
        gate.move_out("c")
        assert told(waiter.collect()) == [(A, 1)]
    assert gate._leases.slots == 1


@on_virtual_time
async def test_watches_are_moved_with_their_connection():
    service = Service({A: 1})
    gate = service.gate()
    with gate.watch(10, "moving") as moved, gate.watch(10, "staying") as stayed:
        gate.move_out("moving")
        with pytest.raises(GateMovedError):
            await moved.next_capacity()
        await stayed.next_capacity()
        assert gate.connections == {"staying"}


@on_virtual_time
async def test_when_all_have_moved_the_gate_stops():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    async with in_background(wait(gate, connection="c")) as [task]:
        await asyncio.sleep(1)
        gate.move_out("c")
        await settle()
        assert task.done()
        assert gate.is_idle
        assert gate._polling is None


@on_virtual_time
async def test_what_was_seen_before_a_move_is_still_to_be_had():
    service = Service({A: 1})
    gate = service.gate()
    with gate.watch(10, "moving") as watcher:
        await asyncio.sleep(1)
        gate.move_out("moving")
        assert (await watcher.next_capacity()).free_slots() == 1
        with pytest.raises(GateMovedError):
            await watcher.next_capacity()


def nothing_to_fetch(gate, connection):
    """Return what fetches for a connection that leads to another gate."""
    calls = []

    async def fetch():
        calls.append(now())
        gate.move_out(connection)
        raise GateMovedError("nobody is left here")

    gate._fetch = fetch
    return calls


@on_virtual_time
async def test_when_all_have_moved_there_is_nothing_to_fetch_and_nothing_fails(caplog):
    service = Service({A: 1})
    polls = []
    gate = service.gate(observer=SimpleNamespace(record_poll=lambda **poll: polls.append(poll)))
    calls = nothing_to_fetch(gate, "moving")
    with gate.queue(a_request(connection="moving")) as waiter:
        await asyncio.wait({waiter.admitted})
        assert isinstance(waiter.admitted.exception(), GateMovedError)
    await asyncio.sleep(100)
    assert len(calls) == 1
    assert gate.trouble is None
    assert gate.is_idle
    assert polls == caplog.messages == []


@on_virtual_time
async def test_who_stays_when_there_is_nothing_to_fetch_neither_hammers_nor_waits_for_long():
    service = Service({A: 1})
    gate = service.gate()
    calls = nothing_to_fetch(gate, "moving")
    async with in_background(wait(gate, connection="staying")) as [staying]:
        await asyncio.sleep(0.95)
        assert len(calls) == 10
        gate._fetch = service.get_capacity
        await asyncio.sleep(0.1)
        assert told(staying.result()) == [(A, 1)]


@on_virtual_time
async def test_leases_move_to_another_gate():
    """So it is when the token of two connections is changed one after the other."""
    service = Service({A: 1})
    before, after = service.gate(), service.gate()
    await wait(before, lease=50)
    for _ in range(2):
        after.adopt_leases(before)
    assert not after.is_idle
    started = now()
    await wait(after, lease=50)
    assert now() == started + 50
    assert before.is_idle


@on_virtual_time
async def test_a_job_that_was_seen_before_the_move_ends_no_lease_after_it():
    service = Service({A: 2})
    before, after = service.gate(), service.gate()
    await wait(before, slots=1)
    job = service.start(A)
    with before.watch(10) as watcher:
        await watcher.next_capacity()
    await wait(before, slots=1)
    after.adopt_leases(before)
    with after.watch(10) as watcher:
        await watcher.next_capacity()
    service.end(job)
    with after.queue(a_request(slots=2)) as waiter:
        await asyncio.sleep(20)
        assert after.describe(waiter) == "place 1 of 1; 2 free, 2 wanted; 1 leased to others"


@on_virtual_time
async def test_a_waiter_that_was_admitted_before_its_lease_moved_may_still_leave():
    service = Service({A: 1})
    before, after = service.gate(), service.gate()
    with before.queue(a_request()) as waiter:
        await asyncio.wait({waiter.admitted})
        after.adopt_leases(before)
    assert before.is_idle
    assert not after.is_idle


@on_virtual_time
async def test_leases_that_are_adopted_bring_the_next_poll_forward():
    service = Service({A: 1})
    before, after = service.gate(), service.gate()
    await wait(before)
    service.fill()
    calls = len(service.calls)
    async with in_background(wait(after, poke_interval=60)):
        await asyncio.sleep(2)
        after.adopt_leases(before)
        await asyncio.sleep(9)
        assert len(service.calls) == calls + 2


@on_virtual_time
async def test_a_poll_may_move_waits_while_it_is_made():
    """So it is when the connection turns out to hold another token."""
    service = Service({A: 2})
    gate = service.gate()
    ask = service.get_capacity

    async def fetch():
        gate.move_out("moving")
        return await ask()

    gate._fetch = fetch
    async with in_background(wait(gate, connection="moving"), wait(gate)) as (moved, stayed):
        assert isinstance(moved.exception(), GateMovedError)
        assert told(stayed.result()) == [(A, 2)]
