"""One bad moment, one bad wait: nobody else notices."""

import asyncio
import logging

import pytest

from airflow_pixverse.api.errors import PixverseAuthError, PixverseTransientError
from airflow_pixverse.gate import GateFailedError, WaitRequest
from tests.unit.gate.service import A, B, Service, a_request, in_background, settle, tasks, told, wait
from tests.unit.gate.virtual_time import now, on_virtual_time


def refused():
    return PixverseAuthError("no", status=401)


def busy(**kwargs):
    return PixverseTransientError("busy", **kwargs)


@on_virtual_time
async def test_transient_errors_end_no_wait_and_slow_the_polling_down(caplog):
    service = Service({A: 1}, errors=[busy()] * 4)
    await wait(service.gate())
    assert service.gaps == [10, 20, 40, 80]
    assert caplog.messages == ["The poll failed: busy"] * 4


@on_virtual_time
async def test_a_success_ends_the_backoff():
    service = Service({A: 1}, errors=[busy()] * 3)
    service.fill()
    async with in_background(wait(service.gate())):
        await asyncio.sleep(95)
    assert service.gaps == [10, 20, 40, 10, 10]


@on_virtual_time
async def test_without_retry_after_the_interval_counts():
    service = Service({A: 1}, errors=[busy()])
    await wait(service.gate(), poke_interval=0.5)
    assert service.gaps == [0.5]


@on_virtual_time
async def test_retry_after_is_honoured():
    service = Service({A: 1}, errors=[busy(retry_after=77)])
    await wait(service.gate())
    assert service.gaps == [77]


@on_virtual_time
async def test_a_newcomer_is_told_of_trouble_at_once():
    service = Service({A: 1}, errors=[busy(retry_after=3600)])
    gate = service.gate()
    async with in_background(wait(gate)):
        await asyncio.sleep(20)
        assert str(gate.trouble) == "busy"
        with gate.queue(a_request()) as waiter:
            await asyncio.wait_for(waiter.looked_at, 0.1)
            assert gate.describe(waiter) == "place 2 of 2; last API error: busy"
        await asyncio.sleep(3600)
        assert gate.trouble is None


@on_virtual_time
async def test_trouble_of_the_past_is_no_look():
    service = Service({A: 1}, errors=[busy()], answer_seconds=1)
    gate = service.gate()
    async with in_background(wait(gate)):
        await asyncio.sleep(2)
    await asyncio.sleep(3000)
    with gate.queue(a_request()) as waiter:
        await asyncio.sleep(0.5)
        assert not waiter.looked_at.done()
        await asyncio.sleep(1)
        assert told(waiter.collect()) == [(A, 1)]


@on_virtual_time
async def test_trouble_is_a_look_only_while_it_is_fresh_or_no_poll_may_follow_soon():
    service = Service({A: 1}, errors=[busy()] * 3, answer_seconds=1)
    gate = service.gate()
    async with in_background(wait(gate)):
        await asyncio.sleep(5.9)
        with gate.queue(a_request()) as waiter:  # 4.9 s after the first failure, 5.1 s before the next poll
            await asyncio.sleep(0.01)
            assert waiter.looked_at.done()
        await asyncio.sleep(0.2)
        with gate.queue(a_request()) as waiter:
            await asyncio.sleep(0.01)
            assert not waiter.looked_at.done()
        await asyncio.sleep(11.9)
        with gate.queue(a_request()) as waiter:  # 6 s after the second failure, 14 s before the next poll
            await asyncio.sleep(0.01)
            assert waiter.looked_at.done()
        await asyncio.sleep(5)
        with gate.queue(a_request()) as waiter:
            await asyncio.sleep(0.01)
            assert not waiter.looked_at.done()
    assert service.gaps == [11]


@on_virtual_time
async def test_a_newcomer_whose_first_look_failed_gets_the_next_one_soon():
    service = Service({A: 1}, errors=[busy(), busy()])
    await wait(service.gate(), poke_interval=3600)
    assert service.gaps == [10, 20]


@on_virtual_time
async def test_nobody_passes_on_what_was_seen_before_a_failure():
    service = Service({A: 1}, errors=[None, busy()])
    gate = service.gate()
    with gate.watch(3) as watcher:
        await watcher.next_capacity()
        await asyncio.sleep(3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(gate), 1)


@on_virtual_time
async def test_one_fatal_answer_ends_no_wait(caplog):
    service = Service({A: 1}, errors=[None, refused()])
    [job] = service.fill()
    gate = service.gate()
    async with in_background(*(wait(gate, poke_interval=60) for _ in range(3))) as waiting:
        await asyncio.sleep(61)
        assert str(gate.trouble) == "no"
        service.end(job)
        await asyncio.sleep(5)
        assert [task.done() for task in waiting] == [True, False, False]
        assert service.gaps == [60, 5]
        assert caplog.messages == ["A second look follows, before this is believed: no"]


@on_virtual_time
async def test_two_in_a_row_end_every_wait_with_an_error_of_its_own(caplog):
    service = Service({A: 1}, errors=[None, refused(), refused()])
    service.fill()
    gate = service.gate()
    waiting = tasks(*(wait(gate, poke_interval=60) for _ in range(3)))
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert now() == 1065
    assert [(type(error), str(error), error.status) for error in results] == [
        (PixverseAuthError, "no", 401)
    ] * 3
    assert len({id(error) for error in [gate.trouble, *results]}) == 4
    assert caplog.messages[-1] == "All 3 waits end: no"
    await settle()
    assert len(asyncio.all_tasks()) == 1


@on_virtual_time
async def test_a_success_between_two_fatal_answers_saves_all():
    service = Service({A: 1}, errors=[refused(), None] * 3)
    service.fill()
    async with in_background(wait(service.gate())) as [task]:
        await asyncio.sleep(60)
        assert not task.done()
        assert service.gaps[:5] == [5, 10, 5, 10, 5]


@on_virtual_time
async def test_a_failure_between_two_fatal_answers_saves_nobody():
    service = Service({A: 1}, errors=[refused(), busy(), ZeroDivisionError(), refused()])
    with pytest.raises(PixverseAuthError):
        await wait(service.gate(), poke_interval=3600)
    assert service.gaps == [5, 5, 10]


@on_virtual_time
async def test_a_gate_that_never_worked_ends_its_waits_within_a_minute():
    service = Service({A: 1}, errors=[refused()] * 2, answer_seconds=20)
    with pytest.raises(PixverseAuthError):
        await wait(service.gate(), poke_interval=3600)
    assert now() == 1045


@on_virtual_time
async def test_a_first_look_is_over_when_it_is_known_what_to_believe():
    service = Service({A: 1}, errors=[refused()])
    service.fill()
    gate = service.gate()
    with gate.queue(a_request()) as waiter:
        await asyncio.sleep(4.9)
        assert not waiter.looked_at.done()
        with gate.queue(a_request()) as newcomer:
            await settle()
            assert not newcomer.looked_at.done()
        await asyncio.sleep(0.2)
        assert waiter.looked_at.done()
        assert not waiter.admitted.done()


@on_virtual_time
async def test_who_comes_soon_after_a_fatal_end_is_told_the_same_without_a_call():
    service = Service({A: 1}, errors=[refused()] * 2)
    gate = service.gate()
    for _ in range(3):
        with pytest.raises(PixverseAuthError):
            await wait(gate, poke_interval=1)
        await asyncio.sleep(3)
    assert len(service.calls) == 2
    await asyncio.sleep(1)
    await wait(gate, poke_interval=3600)
    assert service.gaps == [5, 10]


@on_virtual_time
async def test_later_it_takes_two_looks_again():
    service = Service({A: 1}, errors=[refused()] * 3)
    gate = service.gate()
    with pytest.raises(PixverseAuthError):
        await wait(gate)
    await asyncio.sleep(20)
    await wait(gate)
    assert service.gaps == [5, 20, 5]


@on_virtual_time
async def test_a_fatal_end_leaves_those_alone_who_were_admitted():
    service = Service({A: 1}, errors=[None, refused(), refused()])
    gate = service.gate()
    with gate.queue(a_request()) as admitted:
        with pytest.raises(PixverseAuthError):
            await wait(gate)
        assert told(admitted.collect()) == [(A, 1)]


@on_virtual_time
async def test_an_exception_nobody_foresaw_is_a_failed_poll(caplog):
    errors = [ZeroDivisionError("secret"), OverflowError("secret"), None, KeyError("x")]
    service = Service({A: 1}, errors=errors)
    [job] = service.fill()
    gate = service.gate()
    async with in_background(wait(gate)) as [waiting]:
        await asyncio.sleep(1)
        assert str(gate.trouble) == "the poll failed with ZeroDivisionError"
        await asyncio.sleep(40)
        assert service.gaps == [10, 20, 10]
        service.end(job)
        await asyncio.wait({waiting}, timeout=20)
        assert waiting.done()
    assert caplog.messages == [
        "The poll failed: ZeroDivisionError('secret')",
        "The poll failed: OverflowError('secret')",
        "The poll failed: KeyError('x')",
    ]
    assert [bool(record.exc_info) for record in caplog.records] == [True, False, True]


@on_virtual_time
async def test_an_answer_that_is_no_capacity_is_a_failed_poll():
    service = Service({A: 1})
    answers = [None, service.capacity()]

    async def fetch():
        service.calls.append(now())
        return answers.pop(0)

    gate = service.gate()
    gate._fetch = fetch
    await wait(gate)
    assert service.gaps == [10]


@on_virtual_time
async def test_a_cancelled_poll_starts_again():
    service = Service({A: 1}, answer_seconds=1)
    [job] = service.fill()
    gate = service.gate()
    async with in_background(wait(gate)) as [waiting]:
        await asyncio.sleep(0.5)
        gate._polling.cancel()
        await settle()
        assert str(gate.trouble) == "the poll was cancelled"
        await asyncio.sleep(15)
        gate._polling.cancel()
        service.end(job)
        await asyncio.wait({waiting}, timeout=20)
        assert waiting.done()
    assert service.gaps == [10.5, 11]


@on_virtual_time
async def test_a_fetch_that_is_cancelled_again_and_again_is_not_made_again_at_once():
    service = Service({A: 1}, errors=[asyncio.CancelledError()] * 3)
    await wait(service.gate())
    assert service.gaps == [10, 20, 40]


@on_virtual_time
async def test_a_cancelled_poll_does_not_make_an_old_snapshot_new():
    service = Service({A: 1}, errors=[None, asyncio.CancelledError()])
    gate = service.gate()
    with gate.watch(20) as watcher:
        await watcher.next_capacity()
        await asyncio.sleep(21)
        service.fill()
        async with in_background(wait(gate)) as [waiting]:
            await asyncio.sleep(2)
            assert not waiting.done()


def a_bug(*args):
    raise RuntimeError("a bug")


@on_virtual_time
async def test_after_a_bug_of_its_own_the_gate_goes_on(caplog):
    service = Service({A: 1})
    [job] = service.fill()
    gate = service.gate()
    with gate.watch(3) as watcher:
        watcher.show = a_bug
        async with in_background(wait(gate)) as [waiting]:
            service.end(job)
            await asyncio.sleep(1)
            assert caplog.messages == ["The gate failed, and goes on in 10 s"]
            assert caplog.records[0].exc_info
            del watcher.show
            await asyncio.wait({waiting})
    assert service.gaps == [10]


@on_virtual_time
async def test_a_malformed_request_harms_only_itself():
    service = Service({A: 1})
    [job] = service.fill()
    gate = service.gate()
    async with in_background(wait(gate)) as [waiting]:
        for bad in ({"poke_interval": None}, {"lease": "long"}, {"slots": None}, {"max_wait": float("nan")}):
            with pytest.raises(ValueError, match=next(iter(bad))):
                await wait(gate, **bad)
        service.end(job)
        await asyncio.wait({waiting}, timeout=11)
        assert waiting.done()


@on_virtual_time
async def test_a_malformed_watch_harms_only_itself():
    service = Service({A: 1})
    gate = service.gate()
    with gate.watch(10) as watcher:
        for bad in (None, "60", -1, float("nan"), float("inf")):
            named = rf"^a watcher cannot have the interval {bad!r}$"
            with pytest.raises(ValueError, match=named), gate.watch(bad):
                pass
        await watcher.next_capacity()
        await watcher.next_capacity()
    assert service.gaps == [10]


@on_virtual_time
async def test_a_wait_that_fails_as_it_comes_is_not_left_in_the_queue():
    class Malicious(WaitRequest):
        def interval(self, waited):
            raise ZeroDivisionError("boom")

    gate = Service({A: 1}).gate()
    with pytest.raises(ZeroDivisionError), gate.queue(Malicious()):
        pass
    assert gate.is_idle
    await wait(gate)


@on_virtual_time
async def test_an_error_in_deciding_about_one_waiter_ends_that_wait_only():
    class Malicious(WaitRequest):
        @property
        def lease_seconds(self):
            raise ZeroDivisionError("boom")

    service = Service({A: 2})
    gate = service.gate()
    with gate.queue(Malicious(waiting_since=now() - 5)) as bad:
        assert told(await wait(gate)) == [(A, 2)]
        with pytest.raises(GateFailedError, match="boom"):
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


@on_virtual_time
async def test_an_observer_learns_of_each_poll_and_of_the_state_after_it():
    service = Service({A: 1, B: 2}, answer_seconds=0.5, errors=[busy(), refused()])
    observer = Recorder()
    gate = service.gate(observer=observer)
    async with in_background(wait(gate, slots=2), wait(gate, slots=2)):
        await asyncio.sleep(17)
    assert observer.polls == [(0.5, True), (0.5, True), (0.5, False)]
    assert observer.states == [{"waiters": 1, "free_slots": 3, "leased_slots": 2}]


@on_virtual_time
async def test_an_observer_that_fails_harms_nobody(caplog):
    class Broken(Recorder):
        def record_poll(self, **poll):
            raise ZeroDivisionError("a bug")

    service = Service({A: 1})
    await wait(service.gate(observer=Broken()))
    await settle()
    assert "The observer of the gate failed" in caplog.messages
    assert caplog.records[-1].exc_info


@on_virtual_time
async def test_a_decision_about_newcomers_that_fails_is_made_again_at_the_next_poll(caplog):
    service = Service({A: 1})
    gate = service.gate()
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


def test_nothing_is_logged_where_nothing_goes_wrong(caplog):
    caplog.set_level(logging.INFO)

    @on_virtual_time
    async def play():
        await wait(Service({A: 1}).gate())

    play()
    assert caplog.messages == []
