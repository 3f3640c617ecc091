"""The triggers by themselves, on an event loop as the triggerer has it."""

import asyncio
import json
import threading
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import Stats

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseAuthError
from airflow_pixverse.simulator import faults
from airflow_pixverse.triggers import gates, poller
from airflow_pixverse.triggers.pixverse import PixverseCapacityEventTrigger, PixverseCapacityTrigger
from tests.integration.dag_runs import AIRFLOW

needs_airflow_3 = pytest.mark.skipif(AIRFLOW.release < (3, 0), reason="Airflow 2 has no asset watchers")


async def collect(trigger):
    return [event async for event in trigger.run()]


def events_of(trigger):
    """What a trigger sends before it ends."""
    return asyncio.run(collect(trigger))


async def requests(sim, count):
    """Wait until so many more requests came."""
    await asyncio.to_thread(sim.wait_for_requests, sim.request_count + count)


def payload_of(trigger):
    [event] = events_of(trigger)
    return event.payload


def trigger(**kwargs):
    return PixverseCapacityTrigger(
        **{"poke_interval": 0.2, "waiting_since": time.time(), "timeout": 30, **kwargs}
    )


def test_kwargs_are_plain_json_make_the_same_trigger_and_hold_no_secret(sim):
    classpath, kwargs = trigger(slots=2, emails=["a-1@example.com"], lease=5.0).serialize()
    assert classpath == "airflow_pixverse.triggers.pixverse.PixverseCapacityTrigger"
    again = PixverseCapacityTrigger(**json.loads(json.dumps(kwargs)))
    assert again.serialize() == (classpath, kwargs)
    assert sim.token not in repr(again)


def test_each_kwarg_has_a_default(sim):
    assert payload_of(PixverseCapacityTrigger())["status"] == "success"
    assert payload_of(PixverseCapacityTrigger(slots=1, emails=None, poke_interval=1.0))["status"] == "success"


@pytest.mark.parametrize(
    "kwargs", [{"slots": "many"}, {"emails": []}, {"slots": "{{ unrendered }}"}], ids=str
)
def test_bad_kwargs_end_the_wait_and_not_the_triggerer(sim, kwargs):
    assert payload_of(trigger(**kwargs))["status"] == "fatal"


def test_values_rendered_to_strings_are_understood(sim):
    accounts = payload_of(trigger(slots="2", emails="['A-1@example.com']"))["accounts"]
    assert [account["email"] for account in accounts] == ["a-1@example.com"]


def test_it_looks_once_however_short_the_timeout(sim):
    assert payload_of(trigger(timeout=0))["status"] == "success"
    sim.fill()
    assert payload_of(trigger(timeout=0))["status"] == "timeout"


def test_a_wait_that_began_in_the_trigger_takes_its_times_from_airflow(sim):
    sim.fill()
    begun = trigger(waiting_since=None, timeout=10)
    begun.timeout_after = datetime.now(UTC) + timedelta(seconds=60 - 0.5)  # so it began 10.5 s ago
    assert payload_of(begun)["status"] == "timeout"


def test_execution_timeout_ends_it_even_in_the_middle_of_a_call(sim):
    sim.inject(faults.slow(3), times=None)

    async def main():
        [event] = await collect(trigger(execution_timeout=0.5))
        return event.payload["status"], sim.requests[0].status

    assert asyncio.run(main()) == ("execution_timeout", None), "no answer yet"


def test_a_missing_connection_is_fatal():
    payload = payload_of(trigger(pixverse_conn_id="nowhere"))
    assert payload["status"] == "fatal"
    assert "airflow connections add nowhere" in payload["message"]


def test_waits_on_one_loop_share_one_poll_and_one_slot_releases_one(sim):
    jobs = sim.fill()

    async def main():
        waits = [asyncio.create_task(collect(trigger(timeout=3, lease=60))) for _ in range(20)]
        await asyncio.sleep(1)
        sim.end_job(jobs[0])
        return await asyncio.gather(*waits)

    statuses = [event.payload["status"] for [event] in asyncio.run(main())]
    assert statuses == ["success"] + ["timeout"] * 19
    assert sim.request_count <= 3 / 0.2 + 2


def test_the_event_loop_is_never_blocked(sim):
    sim.fill()
    sim.inject(faults.slow(0.5), times=None)
    lags = []

    async def watch():
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - before - 0.01)

    async def main():
        await collect(trigger(timeout=0))  # imports, once
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(collect(trigger(timeout=1.5)) for _ in range(50)))
        watching.cancel()

    asyncio.run(main())
    # The calls take half a second each: on the loop, they would be seen.
    assert sorted(lags)[len(lags) * 95 // 100] < 0.25


def test_a_rotated_token_ends_no_wait(sim, monkeypatch):
    """The first 401 makes the connection be read again; only a fresh one that is refused is fatal."""
    jobs = sim.fill()

    async def main():
        wait = asyncio.create_task(collect(trigger()))
        await requests(sim, 2)
        sim.token = "user:9-new"
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))
        await requests(sim, 3)
        assert 401 in {request.status for request in sim.requests}
        sim.end_job(jobs[0])
        return await wait

    [event] = asyncio.run(main())
    assert event.payload["status"] == "success"


def test_a_refused_fresh_token_is_fatal(sim):
    sim.token = "user:9-new"
    assert payload_of(trigger())["status"] == "fatal"
    assert sim.request_count == 1


def test_a_secrets_backend_that_fails_for_a_while_ends_no_wait(sim, monkeypatch):
    read = poller.PixverseHook.get_connection
    failures = iter([ConnectionError("the vault is sealed")])

    async def flaky(conn_id, hook=None):
        for error in failures:
            raise error
        return read(conn_id)

    monkeypatch.setattr("airflow.providers.common.compat.connection.get_async_connection", flaky)
    assert payload_of(trigger())["status"] == "success"


def test_a_call_that_hangs_is_given_up_and_not_repeated_beside_itself(sim, monkeypatch):
    """As with headers that drip, which no timeout ends: seen from the event loop, the thread is stuck."""
    connection = {**sim.connection, "extra": json.dumps({"timeout": 0.2})}
    monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(connection))
    may_end, calls = threading.Event(), []

    def stuck(client):
        calls.append(client)
        may_end.wait(20)
        raise PixverseAuthError("the token of the past")

    async def main():
        with monkeypatch.context() as patched:
            patched.setattr(PixverseClient, "get_capacity", stuck)
            wait = asyncio.create_task(collect(trigger()))
            await asyncio.sleep(3)
        hung = len(calls)
        may_end.set()
        return hung, await wait

    hung, [event] = asyncio.run(main())
    assert hung == 1
    assert event.payload["status"] == "success", "what the old call found does not count"


def test_airflow_gets_metrics(sim, monkeypatch):
    told = {}
    for kind in ("gauge", "timing", "incr"):
        monkeypatch.setattr(
            Stats, kind, lambda name, value=1, *, tags, **_: told.setdefault(name, []).append((value, tags))
        )
    sim.inject(faults.status(503))
    payload_of(trigger())
    tags = {"conn_id": "pixverse_default"}
    assert told["pixverse.gate.poll_errors"] == [(1, tags)]
    assert len(told["pixverse.gate.poll_duration"]) == 2
    assert told["pixverse.gate.waiters"] == [(0, tags)]
    assert told["pixverse.gate.free_slots"] == [(6, tags)]
    assert told["pixverse.gate.leased_slots"] == [(1, tags)]


def test_gates_go_with_their_event_loop(sim):
    for _ in range(3):
        payload_of(trigger())
    assert len(gates._gates) == 1


class Store:
    """Airflow's asset state store, as the trigger uses it."""

    def __init__(self):
        self.values = {}

    async def aget(self, key):
        return self.values.get(key)

    async def aset(self, key, value):
        self.values[key] = value


async def first_events(watcher, count):
    async with asyncio.timeout(20), aclosing(watcher.run()) as run:
        return [await anext(run) for _ in range(count)]


def event_trigger(**kwargs):
    return PixverseCapacityEventTrigger(**{"poke_interval": 0.1, **kwargs})


@needs_airflow_3
def test_the_watcher_sends_an_event_at_each_edge_and_none_in_between(sim):
    watcher = event_trigger(slots=2, emails="a-1@example.com")

    async def main():
        events = asyncio.create_task(first_events(watcher, 2))
        await requests(sim, 4)
        sim.fill()
        await requests(sim, 3)
        assert not events.done(), "the first look is an event, and being full is none"
        sim.end_all_jobs()
        return await events

    first, second = asyncio.run(main())
    assert first.payload == second.payload
    assert first.payload["free_slots"] == 3
    assert first.payload["accounts"][0]["email"] == "a-1@example.com"
    json.dumps(first.payload)


@needs_airflow_3
def test_the_watcher_survives_api_trouble(sim, monkeypatch):
    monkeypatch.setattr("airflow_pixverse.triggers.pixverse._AFTER_FATAL_ERROR", 0.1)
    for fault in (faults.status(500), faults.html(), faults.status(402), faults.reset()):
        sim.inject(fault)
    [event] = asyncio.run(first_events(event_trigger(), 1))
    assert event.payload["free_slots"] == 6


@needs_airflow_3
def test_the_watcher_remembers_across_a_restart(sim):
    store = Store()

    async def restart(expected):
        watcher = event_trigger()
        watcher.asset_state_store = store
        async with asyncio.timeout(1.5):
            return await first_events(watcher, expected)

    async def main():
        watcher = event_trigger()
        watcher.asset_state_store = store
        run = watcher.run()
        await anext(run)
        following = asyncio.create_task(anext(run))
        await requests(sim, 1)
        following.cancel()
        with pytest.raises(TimeoutError):
            await restart(1)
        sim.fill()
        with pytest.raises(TimeoutError):
            await restart(1)
        sim.end_all_jobs()
        assert len(await restart(1)) == 1

    asyncio.run(main())


@needs_airflow_3
def test_the_watcher_has_stable_kwargs_and_refuses_bad_ones_when_the_dag_is_parsed():
    one = event_trigger(emails=["b@example.com", "a@example.com"], slots=2, poke_interval=60)
    other = event_trigger(emails=("a@example.com", "b@example.com"), slots=2, poke_interval=60.0)
    assert one.serialize() == other.serialize()
    assert PixverseCapacityEventTrigger(**one.serialize()[1]).serialize() == one.serialize()
    with pytest.raises(ValueError, match="slots"):
        event_trigger(slots=0).serialize()
    with pytest.raises(ValueError, match="poke_interval"):
        event_trigger(poke_interval=-1).serialize()


@pytest.mark.skipif(AIRFLOW.release >= (3, 0), reason="for Airflow 2")
def test_on_airflow_2_the_watcher_says_that_it_needs_3():
    with pytest.raises(RuntimeError, match="needs Airflow 3"):
        event_trigger()
