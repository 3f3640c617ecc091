"""Failures of a poll, a wait or the observer: they have no effect on other waits."""

import asyncio

import pytest

from airflow_pixverse.api.errors import PixverseAuthError, PixverseTransientError
from airflow_pixverse.gate.errors import GateFailedError
from airflow_pixverse.gate.waiter import WaitRequest
from tests.unit.gate.service import A, B, a_request, in_background, settle, tasks, told, wait
from tests.unit.gate.virtual_time import now


def refused():
    return PixverseAuthError("no", status=401)


def busy(**kwargs):
    return PixverseTransientError("busy", **kwargs)


@pytest.mark.parametrize(
    ("errors", "poke_interval", "gaps"),
    [
        ([busy()] * 4, 10, [10, 20, 40, 80]),
        ([busy(retry_after=77)], 10, [77]),
        ([busy()], 0.5, [0.5]),
        # A newcomer whose first poll failed gets the next one soon.
        ([busy()] * 2, 3600, [10, 20]),
        ([asyncio.CancelledError()] * 3, 10, [10, 20, 40]),
        ([refused()] * 6, 10, [10] * 6),
    ],
)
async def test_failed_polls_end_no_wait_and_slow_the_polling_down(service, gate, errors, poke_interval, gaps):
    service.errors = list(errors)
    await wait(gate, poke_interval=poke_interval)
    assert service.gaps == gaps


async def test_a_newcomer_gets_the_last_error_at_once(service, gate, caplog):
    service.errors = [busy(retry_after=3600)]
    async with in_background(wait(gate)):
        await asyncio.sleep(20)
        assert caplog.messages == ["The poll failed: busy"]
        assert str(gate.last_error) == "busy"
        with gate.queue(a_request()) as waiter:
            await asyncio.wait_for(waiter.looked_at, 0.1)
            assert gate.describe(waiter) == "place 2 of 2; last API error: busy"
        await asyncio.sleep(3600)
        assert gate.last_error is None


@pytest.mark.service({A: 1}, answer_seconds=1)
async def test_a_failure_counts_for_newcomers_while_it_is_fresh_or_no_poll_may_follow_soon(service, gate):
    service.errors = [busy()] * 3
    async with in_background(wait(gate)):
        for seconds, is_looked_at in (
            (5.9, True),  # 4.9 s after the first failure, 5.1 s before the next poll
            (0.2, False),
            (11.9, True),  # 6 s after the second failure, 14 s before the next poll
            (5, False),
        ):
            await asyncio.sleep(seconds)
            with gate.queue(a_request()) as waiter:
                await asyncio.sleep(0.01)
                assert waiter.looked_at.done() is is_looked_at
    assert service.gaps == [11]


@pytest.mark.parametrize("error", [busy(), asyncio.CancelledError()], ids=repr)
async def test_no_wait_passes_on_a_snapshot_from_before_a_failed_poll(service, gate, error):
    service.errors = [None, error]
    with gate.watch(3) as watcher:
        await watcher.next_capacity()
        await asyncio.sleep(3)
        async with in_background(wait(gate)) as [waiting]:
            await asyncio.sleep(1)
            assert not waiting.done()


async def test_one_fatal_answer_ends_no_wait(service, gate, caplog):
    service.errors = [None, refused()]
    [job] = service.fill()
    async with in_background(*(wait(gate, poke_interval=60) for _ in range(3))) as waiting:
        await asyncio.sleep(61)
        assert str(gate.last_error) == "no"
        service.end(job)
        await asyncio.sleep(60)
        assert [task.done() for task in waiting] == [True, False, False]
    assert service.gaps == [60, 60]
    assert caplog.messages == ["A permanent error, which ends all waits if it lasts: no"]


async def test_two_fatal_answers_a_minute_apart_end_each_wait_with_its_own_error(service, gate, caplog):
    service.errors = [None, refused(), refused()]
    service.fill()
    waiting = tasks(*(wait(gate, poke_interval=60) for _ in range(3)))
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert now() == 1120
    assert [(type(error), str(error), error.status) for error in results] == [
        (PixverseAuthError, "no", 401)
    ] * 3
    assert len({id(error) for error in [gate.last_error, *results]}) == 4
    assert caplog.messages[-1] == "All 3 waits end: no"
    await settle()
    assert len(asyncio.all_tasks()) == 1


async def test_a_failure_between_two_fatal_answers_saves_no_wait(service, gate):
    service.errors = [refused(), busy(), ZeroDivisionError(), *[refused()] * 3]
    with pytest.raises(PixverseAuthError):
        await wait(gate, poke_interval=3600)
    assert service.gaps == [10, 10, 20, 10, 10]


async def test_a_newcomer_is_looked_at_once_it_is_known_whether_to_believe_a_fatal_error(service, gate):
    service.errors = [refused()]
    service.fill()
    with gate.queue(a_request()) as waiter:
        await asyncio.sleep(9.9)
        assert not waiter.looked_at.done()
        with gate.queue(a_request()) as newcomer:
            await settle()
            assert not newcomer.looked_at.done()
        await asyncio.sleep(0.2)
        assert waiter.looked_at.done()
        assert not waiter.admitted.done()


async def test_a_newcomer_soon_after_a_fatal_end_gets_the_same_error_without_a_call(service, gate):
    service.errors = [refused()] * 8
    for _ in range(3):
        with pytest.raises(PixverseAuthError):
            await wait(gate, poke_interval=30)
        await asyncio.sleep(3)
    assert service.gaps == [10] * 6
    await asyncio.sleep(11)
    await wait(gate, poke_interval=3600)  # it takes a minute again
    assert service.gaps == [10] * 6 + [20, 10]


async def test_a_fatal_end_leaves_admitted_waits_alone(service, gate):
    service.errors = [None, *[refused()] * 7]
    with gate.queue(a_request()) as admitted:
        with pytest.raises(PixverseAuthError):
            await wait(gate)
        assert told(admitted.collect()) == [(A, 1)]


async def test_an_unforeseen_exception_is_a_failed_poll_with_one_traceback_in_the_log(service, gate, caplog):
    errors = [ZeroDivisionError("secret"), OverflowError("secret"), None, KeyError("x")]
    service.errors = list(errors)
    [job] = service.fill()
    async with in_background(wait(gate)) as [waiting]:
        await asyncio.sleep(1)
        assert str(gate.last_error) == "the poll failed with ZeroDivisionError"
        await asyncio.sleep(40)
        assert service.gaps == [10, 20, 10]
        service.end(job)
        await asyncio.wait({waiting}, timeout=20)
        assert waiting.done()
    assert caplog.messages == [f"The poll failed: {error!r}" for error in errors if error]
    assert [bool(record.exc_info) for record in caplog.records] == [True, False, True]


async def test_an_answer_that_is_no_capacity_is_a_failed_poll(service, gate, monkeypatch):
    answers = [None, service.capacity()]
    monkeypatch.setattr(service, "capacity", lambda: answers.pop(0))
    await wait(gate)
    assert service.gaps == [10]


@pytest.mark.service({A: 1}, answer_seconds=1)
async def test_a_cancelled_poll_starts_again(service, gate):
    [job] = service.fill()
    async with in_background(wait(gate)) as [waiting]:
        await asyncio.sleep(0.5)
        gate._polling.cancel()
        await settle()
        assert str(gate.last_error) == "the poll was cancelled"
        await asyncio.sleep(15)
        gate._polling.cancel()
        service.end(job)
        await asyncio.wait({waiting}, timeout=20)
        assert waiting.done()
    assert service.gaps == [10.5, 11]


def a_bug(*args, **kwargs):
    raise ZeroDivisionError("a bug")


async def test_after_a_bug_of_its_own_the_gate_goes_on(service, gate, caplog):
    [job] = service.fill()
    with gate.watch(3) as watcher:
        watcher.record_poll = a_bug
        async with in_background(wait(gate)) as [waiting]:
            service.end(job)
            await asyncio.sleep(1)
            assert caplog.messages == ["The gate failed, and goes on in 10 s"]
            assert caplog.records[0].exc_info
            del watcher.record_poll
            await asyncio.wait({waiting})
    assert service.gaps == [10]


async def test_a_decision_about_newcomers_that_fails_is_made_again_at_the_next_poll(gate, caplog):
    with gate.watch(10) as watcher:
        await watcher.next_capacity()
        gate._admit = a_bug
        async with in_background(wait(gate)) as [waiting]:
            await asyncio.sleep(0.1)
            assert caplog.messages == ["The gate failed to decide, and tries again at the next poll"]
            assert caplog.records[0].exc_info
            del gate._admit
            await asyncio.sleep(10)
            assert waiting.done()


class BadInterval(WaitRequest):
    interval = a_bug


class BadLease(WaitRequest):
    lease_seconds = property(a_bug)


async def test_a_wait_that_fails_as_it_comes_is_not_left_in_the_queue(gate):
    with pytest.raises(ZeroDivisionError), gate.queue(BadInterval()):
        pass
    assert gate.is_idle
    await wait(gate)


@pytest.mark.service({A: 2})
async def test_a_decision_about_one_wait_that_fails_ends_that_wait_only(service, gate):
    with gate.queue(BadLease(waiting_since=now() - 5)) as bad:
        assert told(await wait(gate)) == [(A, 2)]
        with pytest.raises(GateFailedError, match="a bug"):
            bad.collect()
    assert service.gaps == []


class Recorder:
    def __init__(self):
        self.polls = []
        self.states = []

    def record_poll(self, *, seconds, failed):
        self.polls.append((seconds, failed))

    def record_state(self, **state):
        self.states.append(state)


@pytest.mark.service({A: 1, B: 2}, answer_seconds=0.5)
async def test_an_observer_gets_each_poll_and_the_state_after_it(service):
    service.errors = [busy(), refused()]
    observer = Recorder()
    gate = service.gate(observer=observer)
    async with in_background(wait(gate, slots=2), wait(gate, slots=2)):
        await asyncio.sleep(22)
    assert observer.polls == [(0.5, True), (0.5, True), (0.5, False)]
    assert observer.states == [{"waiters": 1, "free_slots": 3, "leased_slots": 2}]


async def test_an_observer_that_fails_harms_no_wait(service, caplog):
    observer = Recorder()
    observer.record_poll = a_bug
    await wait(service.gate(observer=observer))
    await settle()
    assert caplog.messages == ["The observer of the gate failed"]
    assert caplog.records[-1].exc_info
