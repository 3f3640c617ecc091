"""PixverseCapacityEventTrigger: an event at each edge, none in between, and none lost."""

import asyncio
import json
from contextlib import aclosing

import pytest

from airflow_pixverse.capabilities import HAS_TRIGGER_QUEUES
from airflow_pixverse.simulator import faults
from airflow_pixverse.triggers import pixverse
from airflow_pixverse.triggers.pixverse import PixverseCapacityEventTrigger
from tests.helpers.dag_runs import AIRFLOW
from tests.helpers.trigger_runs import event_trigger, first_events, requests

pytestmark = pytest.mark.skipif(AIRFLOW.release < (3, 0), reason="Airflow 2 has no asset watchers")


class Store:
    """The state of one asset."""

    def __init__(self):
        self.values = {}
        self.may_store = asyncio.Event()
        self.may_store.set()

    async def aget(self, key):
        return self.values.get(key)

    async def aset(self, key, value):
        await self.may_store.wait()
        self.values[key] = value


class Stores:
    """Airflow's state stores of the assets that share a watcher, of which only one may be used by itself."""

    def __init__(self, *names):
        self._by_name = {name: Store() for name in names}

    def __getitem__(self, name):
        return self._by_name[name]


def watching(stores, **kwargs):
    watcher = event_trigger(**kwargs)
    watcher.asset_state_store = stores
    return watcher


async def test_watcher_sends_an_event_at_each_edge_and_none_in_between(sim):
    watcher = event_trigger(slots=2, emails="a-1@example.com")

    events = asyncio.create_task(first_events(watcher, 2))
    await requests(sim, 4)
    sim.fill()
    await requests(sim, 3)
    assert not events.done(), "the first look is an event, and being full is none"
    sim.end_all_jobs()
    first, second = await events
    assert first.payload == second.payload
    assert first.payload["free_slots"] == 3
    assert first.payload["accounts"][0]["email"] == "a-1@example.com"
    json.dumps(first.payload)


def test_watcher_goes_on_after_api_errors(sim, monkeypatch):
    monkeypatch.setattr(pixverse, "_AFTER_FATAL_ERROR", 0.1)
    for fault in (faults.status(500), faults.html(), faults.status(402), faults.status(402), faults.reset()):
        sim.inject(fault)
    [event] = asyncio.run(first_events(event_trigger(), 1))
    assert event.payload["free_slots"] == 6


async def events_within(watcher, sim, count):
    """The events that a watcher sends while so many requests come."""
    events = []

    async def watch():
        async with aclosing(watcher.run()) as run:
            async for event in run:
                events.append(event)  # noqa: PERF401 - it is cancelled in the middle

    watch_task = asyncio.create_task(watch())
    await requests(sim, count)
    watch_task.cancel()
    await asyncio.wait({watch_task})
    return len(events)


async def test_watcher_remembers_the_last_edge_across_a_restart(sim):
    stores = Stores("room")
    assert await events_within(watching(stores), sim, 3) == 1
    assert await events_within(watching(stores), sim, 3) == 0
    sim.fill()
    assert await events_within(watching(stores), sim, 3) == 0
    sim.end_all_jobs()
    assert await events_within(watching(stores), sim, 3) == 1


async def test_two_assets_with_the_same_watcher_keep_their_state_apart(sim):
    stores = Stores("room")
    assert await events_within(watching(stores), sim, 3) == 1
    # A second asset joins: it has been told of nothing yet.
    both = Stores("room", "other_room")
    both._by_name["room"] = stores["room"]
    assert await events_within(watching(both), sim, 3) == 1
    assert await events_within(watching(both), sim, 3) == 0
    assert both["room"].values == both["other_room"].values == {next(iter(both["room"].values)): True}


async def test_watchers_with_other_parameters_do_not_share_a_memory(sim):
    stores = Stores("room")
    assert await events_within(watching(stores, slots=1), sim, 3) == 1
    assert await events_within(watching(stores, slots=2), sim, 3) == 1


async def test_no_edge_is_lost_while_the_state_is_being_stored(sim):
    stores = Stores("room")
    async with asyncio.timeout(20), aclosing(watching(stores).run()) as run:
        await anext(run)
        stores["room"].may_store.clear()
        following = asyncio.create_task(anext(run))
        await requests(sim, 1)
        # Full, and free again, while the store hangs.
        sim.fill()
        await requests(sim, 2)
        sim.end_all_jobs()
        await requests(sim, 2)
        assert not following.done()
        stores["room"].may_store.set()
        assert (await following).payload["free_slots"] == 6


def test_watcher_has_stable_kwargs_and_refuses_bad_ones_when_the_dag_is_parsed():
    one = event_trigger(emails=["b@example.com", "a@example.com"], slots=2, poke_interval=60)
    other = event_trigger(emails=("a@example.com", "b@example.com"), slots=2, poke_interval=60.0)
    assert one.serialize() == other.serialize()
    assert PixverseCapacityEventTrigger(**one.serialize()[1]).serialize() == one.serialize()
    with pytest.raises(ValueError, match="slots"):
        event_trigger(slots=0).serialize()
    with pytest.raises(ValueError, match="poke_interval"):
        event_trigger(poke_interval=-1).serialize()


@pytest.mark.skipif(not HAS_TRIGGER_QUEUES, reason="for Airflow 3.4 and later")
def test_airflow_is_told_which_queue_of_triggerers_may_run_it():
    from airflow.serialization.encoders import encode_trigger

    assert encode_trigger(event_trigger(queue="studio"))["queue"] == "studio"
    assert "queue" not in encode_trigger(event_trigger())


@pytest.mark.skipif(HAS_TRIGGER_QUEUES, reason="for Airflow 3.0 to 3.3")
def test_a_queue_of_triggerers_is_refused_where_there_are_none():
    with pytest.raises(ValueError, match=r"queue: .* Leave it out"):
        event_trigger(queue="studio").serialize()


def test_kwargs_of_a_newer_version_are_logged_and_ignored(sim, logged):
    asyncio.run(first_events(event_trigger(priority="high"), 1))
    assert "['priority'], which is ignored" in logged()


async def test_a_malformed_watcher_says_so_and_does_not_end(logged):
    """Airflow would start one that ended again at once."""

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await first_events(event_trigger(poke_interval=None), 1)
    assert "This watcher cannot watch: poke_interval" in logged()
