"""Triggers run by themselves, on an event loop as the triggerer has it."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from airflow_pixverse.triggers.pixverse import PixverseCapacityEventTrigger, PixverseCapacityTrigger


def trigger(**kwargs):
    """A wait that looks often, and gives up after half a minute."""
    return PixverseCapacityTrigger(
        **{"poke_interval": 0.2, "waiting_since": time.time(), "timeout": 30.0, **kwargs}
    )


def event_trigger(**kwargs):
    """A watcher that looks often."""
    return PixverseCapacityEventTrigger(**{"poke_interval": 0.1, **kwargs})


async def collect(one):
    """All events that a trigger sends before it ends."""
    return [event async for event in one.run()]


async def payload(one):
    """The payload of the one event that a trigger sends."""
    [event] = await collect(one)
    return event.payload


async def status(one):
    """The end of a wait."""
    return (await payload(one))["status"]


def events_of(one):
    """All events of a trigger that is run alone."""
    return asyncio.run(collect(one))


def payload_of(one):
    """The payload of a trigger that is run alone."""
    return asyncio.run(payload(one))


async def first_events(watcher, count):
    """The first events of a watcher, which never ends by itself."""
    async with asyncio.timeout(20), aclosing(watcher.run()) as run:
        return [await anext(run) for _ in range(count)]


async def requests(sim, count):
    """Wait until so many more requests came."""
    await asyncio.to_thread(sim.wait_for_requests, sim.request_count + count)
