"""Shared gates: one for each service and token, however many connections lead there."""

import asyncio
import json
import time

import pytest
from airflow.providers.common.compat.sdk import Stats

from airflow_pixverse.api import client
from airflow_pixverse.simulator import Simulator, faults
from airflow_pixverse.triggerer import connection_client, shared_gates
from airflow_pixverse.triggerer.shared_gates import gate_of
from tests.helpers.trigger_runs import payload_of, requests, status, trigger


@pytest.fixture
def same_token(sim, monkeypatch):
    """The id of another connection that leads to the simulator with the same token."""
    monkeypatch.setenv("AIRFLOW_CONN_SAME_TOKEN", json.dumps(sim.connection))
    return "same_token"


async def looks(sim, count):
    """Wait until the service has shown so many times more what is free."""

    def seen():
        return sum(request.status == 200 for request in sim.requests)

    wanted = seen() + count
    while seen() < wanted:
        await requests(sim, 1)


async def only_one_ends(sim, waits, meanwhile=lambda: None):
    """Wait until one of these waits has ended, and then for some looks, in which no other is to end."""
    [first], _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    meanwhile()
    await looks(sim, 4)
    ended = [wait for wait in waits if wait.done()]
    for wait in waits:
        wait.cancel()
    return ended == [first] and await first == "success"


async def test_waits_on_one_loop_share_one_poll_and_one_slot_releases_one(sim):
    jobs = sim.fill()

    waits = [asyncio.create_task(status(trigger(lease=60))) for _ in range(20)]
    await requests(sim, 1)
    sim.end_job(jobs[0])
    assert await only_one_ends(sim, waits)
    first, *_, last = sim.requests
    assert sim.request_count <= (last.monotonic - first.monotonic) / 0.2 + 1


async def test_two_connections_with_one_token_share_one_gate_and_one_slot_releases_one(sim, same_token):
    jobs = sim.fill()

    waits = [
        asyncio.create_task(status(trigger(pixverse_conn_id=conn_id, lease=60)))
        for conn_id in ("pixverse_default", same_token) * 5
    ]
    await requests(sim, 3)
    assert gate_of("pixverse_default") is gate_of(same_token)
    sim.end_job(jobs[0])
    assert await only_one_ends(sim, waits)


@pytest.mark.parametrize("extra", [{"timeout": 0.05}, {"proxy": "http://127.0.0.1:9"}], ids=str)
async def test_trouble_of_one_connection_is_not_that_of_another_with_its_token(sim, monkeypatch, extra):
    """Such as a proxy that is down: the waits of both are let through by the way that works."""
    sim.inject(faults.slow(0.2), times=None)
    # Not named "localhost" or by its address alone, it would go through no proxy.
    crippled = {**sim.connection, "extra": json.dumps({**extra, "allow_http": True})}
    if "proxy" in extra:
        monkeypatch.setattr(client, "is_loopback_http", lambda url: False)
    monkeypatch.setenv("AIRFLOW_CONN_A_CRIPPLED", json.dumps(crippled))

    assert (
        await asyncio.gather(
            status(trigger(pixverse_conn_id="a_crippled")), status(trigger(lease=0)), status(trigger(lease=0))
        )
        == ["success"] * 3
    )


async def test_leases_outlive_a_token_that_is_rotated_for_two_connections(sim, same_token, monkeypatch):
    monkeypatch.setattr(connection_client, "_LIFETIME", 0.0)
    jobs = sim.fill()

    def rotate():
        sim.token = "user:9-new"
        for name in ("PIXVERSE_DEFAULT", "SAME_TOKEN"):
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(sim.connection))

    waits = [
        asyncio.create_task(status(trigger(pixverse_conn_id=conn_id, lease=60)))
        for conn_id in ("pixverse_default", same_token) * 2
    ]
    await requests(sim, 3)
    sim.end_job(jobs[0])
    assert await only_one_ends(sim, waits, meanwhile=rotate)


def test_connections_with_different_tokens_do_not_share_a_gate(sim, monkeypatch):
    with Simulator(token="user:2-other") as other:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(other.connection))

        async def main():
            ends = await asyncio.gather(status(trigger()), status(trigger(pixverse_conn_id="other")))
            assert gate_of("pixverse_default") is not gate_of("other")
            return ends

        assert asyncio.run(main()) == ["success", "success"]


def test_a_connection_that_changes_takes_only_its_own_waits_along(sim, same_token, monkeypatch):
    """One of two connections at a gate is pointed to another service: the other one's waits stay."""
    monkeypatch.setattr(connection_client, "_LIFETIME", 0.0)
    jobs = sim.fill()
    with Simulator(token="user:2-other", accounts={"other@example.com": 1}) as other:
        [job] = other.fill()

        async def main():
            stays, moves = (
                asyncio.create_task(status(trigger(pixverse_conn_id=conn_id)))
                for conn_id in ("pixverse_default", same_token)
            )
            await requests(sim, 3)
            monkeypatch.setenv("AIRFLOW_CONN_SAME_TOKEN", json.dumps(other.connection))
            await requests(other, 2)
            other.end_job(job)
            assert await moves == "success"
            assert not stays.done()
            sim.end_job(jobs[0])
            return await stays

        assert asyncio.run(main()) == "success"


async def test_a_gate_that_nobody_used_for_long_is_forgotten(sim, monkeypatch):
    monkeypatch.setattr(shared_gates, "_FORGOTTEN_AFTER", 0.05)

    await status(trigger(lease=0))
    gates = shared_gates._of_loop[asyncio.get_running_loop()]
    async with asyncio.timeout(30):
        while gates._by_connection or gates._by_identity or gates._clients:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await status(trigger(lease=0)) == "success", "and made anew for who comes then"


async def test_a_gate_that_somebody_waits_at_is_not_forgotten(sim, monkeypatch):
    monkeypatch.setattr(shared_gates, "_FORGOTTEN_AFTER", 0.05)
    sim.fill()

    wait = asyncio.create_task(status(trigger()))
    await requests(sim, 1)
    gate = gate_of("pixverse_default")
    await requests(sim, 3)
    assert gate_of("pixverse_default") is gate
    wait.cancel()


def test_gates_go_with_their_event_loop(sim):
    for _ in range(3):
        payload_of(trigger())
    assert len(shared_gates._of_loop) == 1


async def test_the_event_loop_is_never_blocked(sim):
    sim.fill()
    sim.inject(faults.slow(0.5), times=None)
    lags = []

    async def watch():
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - before - 0.01)

    await status(trigger(timeout=0))  # imports, once
    watching = asyncio.create_task(watch())
    await asyncio.gather(*(status(trigger(timeout=1.5)) for _ in range(50)))
    watching.cancel()
    # The calls take half a second each: on the loop, most looks at the clock would be that late.
    assert sorted(lags)[len(lags) // 2] < 0.25


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
