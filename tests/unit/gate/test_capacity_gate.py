"""The gate: one poll for all, one slot for one, and everybody's turn in the end."""

import asyncio

import pytest

from airflow_pixverse.api.errors import PixverseAuthError, PixverseTransientError
from airflow_pixverse.gate import GateFailedError, WaitRequest
from tests.unit.gate.service import Service, settle, wait
from tests.unit.gate.virtual_time import now, run

A, B = "a@example.com", "b@example.com"


def on_virtual_time(test):
    """Run an asynchronous test on virtual time."""

    def synchronous():
        run(test())

    synchronous.__name__ = test.__name__
    synchronous.__doc__ = test.__doc__
    return synchronous


def tasks(*coroutines):
    return [asyncio.create_task(coroutine) for coroutine in coroutines]


@on_virtual_time
async def test_a_free_slot_admits_at_once():
    service = Service({A: 3})
    [account] = await wait(service.gate())
    assert (account.email, account.available) == (A, 3)
    assert len(service.calls) == 1


@on_virtual_time
async def test_a_thousand_waiters_cost_one_call_an_interval():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    waiting = tasks(*(wait(gate, poke_interval=10) for _ in range(1000)))
    await asyncio.sleep(100)
    assert 9 <= len(service.calls) <= 11
    for earlier, later in zip(service.calls, service.calls[1:], strict=False):
        assert 10 <= later - earlier <= 11.1
    for task in waiting:
        task.cancel()


@on_virtual_time
async def test_the_shortest_interval_counts():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    slow, quick = tasks(wait(gate, poke_interval=50), wait(gate, poke_interval=5))
    await asyncio.sleep(51)
    assert len(service.calls) >= 9
    quick.cancel()
    await settle()
    calls = len(service.calls)
    await asyncio.sleep(49)
    assert len(service.calls) <= calls + 1
    slow.cancel()


@on_virtual_time
async def test_one_free_slot_admits_one_waiter_the_first_that_came():
    service = Service({A: 1})
    [job] = service.fill()
    gate = service.gate()
    waiting = tasks(*(wait(gate) for _ in range(5)))
    await asyncio.sleep(15)
    service.end(job)
    await asyncio.sleep(25)
    assert [task.done() for task in waiting] == [True, False, False, False, False]
    for task in waiting:
        task.cancel()


@on_virtual_time
async def test_the_lease_ends_when_the_job_shows_up_and_the_next_slot_goes_to_the_next():
    service = Service({A: 2})
    gate = service.gate()
    waiting = tasks(*(wait(gate) for _ in range(4)))
    await asyncio.sleep(1)
    assert [task.done() for task in waiting] == [True, True, False, False]
    jobs = service.fill()
    await asyncio.sleep(15)
    service.end(jobs[0])
    await asyncio.sleep(15)
    assert [task.done() for task in waiting] == [True, True, True, False]
    waiting[3].cancel()


@on_virtual_time
async def test_a_lease_that_nobody_uses_ends():
    service = Service({A: 1})
    gate = service.gate()
    await wait(gate, lease=100)
    started = now()
    await wait(gate)
    assert 100 <= now() - started <= 112


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
    assert [account.email for account in await wait(gate, emails=frozenset({A}))] == [A]
    assert [account.email for account in await wait(gate, emails=frozenset({B}))] == [B]
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
    await asyncio.wait_for(wait(gate), 5)


@on_virtual_time
async def test_waiters_admitted_together_are_told_different_slots():
    service = Service({A: 2, B: 1})
    gate = service.gate()
    told = [await wait(gate) for _ in range(3)]
    assert [[(account.email, account.available) for account in accounts] for accounts in told] == [
        [(A, 2), (B, 1)],
        [(A, 1), (B, 1)],
        [(B, 1)],
    ]


@on_virtual_time
async def test_a_large_request_is_not_starved_by_small_ones_behind_it():
    service = Service({A: 3})
    jobs = service.fill()
    gate = service.gate()
    large, *small = tasks(wait(gate, slots=3), *(wait(gate) for _ in range(5)))
    for job in jobs:
        await asyncio.sleep(12)
        assert not large.done()
        service.end(job)
    await asyncio.sleep(12)
    assert large.done()
    assert not any(task.done() for task in small)
    for task in small:
        task.cancel()


@on_virtual_time
async def test_a_large_request_does_not_block_other_accounts():
    service = Service({A: 2, B: 1})
    service.start(A)
    gate = service.gate()
    large, other, any_account = tasks(
        wait(gate, slots=2, emails=frozenset({A})), wait(gate, emails=frozenset({B}), lease=12), wait(gate)
    )
    await asyncio.sleep(1)
    assert (large.done(), other.done(), any_account.done()) == (False, True, False)
    await asyncio.sleep(25)
    assert any_account.done()
    assert [account.email for account in any_account.result()] == [B]
    large.cancel()


@on_virtual_time
async def test_a_request_for_more_than_there_is_blocks_nobody_and_says_so():
    service = Service({A: 2})
    gate = service.gate()
    with gate.queue(WaitRequest(slots=3, waiting_since=now())) as waiter:
        await asyncio.wait_for(wait(gate), 5)
        assert "the accounts do not have 3 slots in all" in gate.describe(waiter)


@on_virtual_time
async def test_who_began_to_wait_first_is_first_even_when_it_comes_back_last():
    service = Service({A: 1})
    [job] = service.fill()
    gate = service.gate()
    younger, older = tasks(wait(gate), wait(gate, waiting_since=now() - 5))
    await asyncio.sleep(5)
    service.end(job)
    await asyncio.sleep(10)
    assert (younger.done(), older.done()) == (False, True)
    younger.cancel()


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
    for task in coming:
        task.cancel()


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
async def test_an_interval_of_zero_does_not_hammer_the_service():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    waiting = tasks(wait(gate, poke_interval=0), gate.next_capacity(0))
    await asyncio.sleep(2)
    assert len(service.calls) <= 21
    waiting[0].cancel()


@on_virtual_time
async def test_transient_errors_end_no_wait_and_slow_the_polling_down():
    service = Service({A: 1}, errors=[PixverseTransientError("busy")] * 4)
    await wait(service.gate())
    gaps = [later - earlier for earlier, later in zip(service.calls, service.calls[1:], strict=False)]
    assert [round(gap / 10) for gap in gaps] == pytest.approx([1, 2, 4, 8], rel=0.15)


@on_virtual_time
async def test_retry_after_is_honoured():
    service = Service({A: 1}, errors=[PixverseTransientError("busy", retry_after=77)])
    await wait(service.gate())
    assert service.calls[1] - service.calls[0] >= 77


@on_virtual_time
async def test_a_newcomer_is_told_of_trouble_at_once():
    service = Service({A: 1}, errors=[PixverseTransientError("busy", retry_after=3600)])
    gate = service.gate()
    [first] = tasks(wait(gate))
    await asyncio.sleep(1)
    with gate.queue(WaitRequest(waiting_since=now())) as waiter:
        assert waiter.looked_at.done()
        assert "busy" in gate.describe(waiter)
    first.cancel()


@on_virtual_time
async def test_a_fatal_error_ends_every_wait_with_an_error_of_its_own():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    waiting = tasks(*(wait(gate) for _ in range(3)))
    await asyncio.sleep(1)
    service.errors.append(PixverseAuthError("no", status=401))
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [(type(error), str(error), error.status) for error in results] == [
        (PixverseAuthError, "no", 401)
    ] * 3
    assert len({id(error) for error in results}) == 3


@on_virtual_time
async def test_after_a_fatal_error_those_who_come_are_told_without_a_call_but_not_for_long():
    service = Service({A: 1}, errors=[PixverseAuthError("no")])
    gate = service.gate()
    for _ in range(3):
        with pytest.raises(PixverseAuthError):
            await wait(gate, poke_interval=3600)
    assert len(service.calls) == 1
    await asyncio.sleep(12)
    await wait(gate, poke_interval=3600)


@on_virtual_time
async def test_a_crash_ends_every_wait():
    service = Service({A: 1}, errors=[ZeroDivisionError("a bug")])
    gate = service.gate()
    with pytest.raises(GateFailedError, match="a bug"):
        await wait(gate)
    await asyncio.sleep(60)
    await wait(gate)


@on_virtual_time
async def test_a_cancelled_waiter_leaves_no_trace():
    service = Service({A: 1})
    gate = service.gate()
    with gate.queue(WaitRequest(waiting_since=now())) as waiter:
        await asyncio.wait({waiter.admitted})
        # Admitted, and cancelled before it could collect: its slot must go to somebody else.
    await asyncio.wait_for(wait(gate), 15)


@on_virtual_time
async def test_the_last_to_leave_stops_the_polling():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    waiting = tasks(*(wait(gate) for _ in range(3)))
    await asyncio.sleep(25)
    for task in waiting:
        task.cancel()
    await settle()
    calls = len(service.calls)
    await asyncio.sleep(1000)
    assert len(service.calls) == calls
    assert len(asyncio.all_tasks()) == 1, "only this test is left"


@on_virtual_time
async def test_exponential_backoff_and_max_wait_count():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    [task] = tasks(wait(gate, poke_interval=10, exponential_backoff=True, max_wait=45))
    await asyncio.sleep(300)
    gaps = [later - earlier for earlier, later in zip(service.calls, service.calls[1:], strict=False)]
    assert gaps[:4] == pytest.approx([10, 20, 40, 45], rel=0.2)
    assert max(gaps) <= 45 * 1.11
    task.cancel()


@on_virtual_time
async def test_a_first_look_takes_no_longer_than_a_minute():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    tasks_ = tasks(wait(gate, poke_interval=3600))
    await asyncio.sleep(100)
    tasks_ += tasks(wait(gate, poke_interval=3600))
    await asyncio.sleep(1)
    assert len(service.calls) == 2
    for task in tasks_:
        task.cancel()


@on_virtual_time
async def test_who_watches_shares_the_poll():
    service = Service({A: 1})
    service.fill()
    gate = service.gate()
    [waiting] = tasks(wait(gate, poke_interval=10))
    seen = [await gate.next_capacity(10) for _ in range(5)]
    assert [capacity.free_slots() for capacity in seen] == [0] * 5
    assert len(service.calls) == 5
    waiting.cancel()


@on_virtual_time
async def test_it_tells_its_observer():
    told = []

    class Observer:
        def polled(self, *, seconds, failed):
            told.append(("polled", round(seconds, 2), failed))

        def stands(self, **state):
            told.append(state)

    service = Service({A: 1}, errors=[PixverseTransientError("busy")])
    gate = service.gate(observer=Observer())
    both = tasks(wait(gate), wait(gate))
    await asyncio.sleep(15)
    assert told == [
        ("polled", 0.01, True),
        ("polled", 0.01, False),
        {"waiters": 1, "free_slots": 1, "leased_slots": 1},
    ]
    both[1].cancel()
