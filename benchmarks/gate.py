"""The gate alone, with 1, 100 and 10 000 waiters: calls, event loop lag, memory. Figures, no yardstick."""

from __future__ import annotations

import asyncio
import time
import tracemalloc

from airflow_pixverse.api.models import AccountCapacity, Capacity, ExecutingJob
from airflow_pixverse.gate import CapacityGate, WaitRequest

WAITERS = (1, 100, 10_000)
INTERVAL = 1.0
SECONDS = 10.0
TICK = 0.001


def main() -> None:
    """Print the figures."""
    print(
        f"the gate alone, for {SECONDS:g} s, one poll a {INTERVAL:g} s interval, a slot free at every second"
    )
    for waiters in WAITERS:
        calls, lags = asyncio.run(_run(waiters))
        p99 = sorted(lags)[len(lags) * 99 // 100]
        memory = asyncio.run(_bytes_a_waiter(waiters))
        print(
            f"  {waiters:6d} waiters: {calls} calls, event loop lag p99 {p99 * 1000:.2f} ms, "
            f"max {max(lags) * 1000:.1f} ms (goal: p99 below 10 ms), {memory:.0f} bytes a waiter"
        )


async def _run(waiters: int) -> tuple[int, list[float]]:
    calls = 0

    async def fetch() -> Capacity:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.02)
        # Every second time a slot is free, and the job of who got the last one has shown up.
        return Capacity(
            executing=[ExecutingJob(id=f"user:1-pixverse:a@example.com-video:{calls // 2}")],
            accounts=[
                AccountCapacity(email="a@example.com", max_jobs=8, available=calls % 2 if waiters > 1 else 0)
            ],
        )

    gate = CapacityGate(fetch)
    waiting = [asyncio.create_task(_wait(gate)) for _ in range(waiters)]
    await asyncio.sleep(INTERVAL)  # to arrive is not measured
    before, lags, end = calls, [], time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        await asyncio.sleep(TICK)
        lags.append(time.perf_counter() - start - TICK)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return calls - before, lags


async def _wait(gate: CapacityGate) -> None:
    with gate.queue(WaitRequest(poke_interval=INTERVAL, waiting_since=time.time())) as waiter:
        await asyncio.wait({waiter.admitted})


async def _bytes_a_waiter(waiters: int) -> float:
    async def fetch() -> Capacity:
        return Capacity()

    gate = CapacityGate(fetch)
    warm_up = asyncio.create_task(_wait(gate))
    await asyncio.sleep(0.1)
    tracemalloc.start()
    waiting = [asyncio.create_task(_wait(gate)) for _ in range(waiters)]
    await asyncio.sleep(0.1)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for task in (warm_up, *waiting):
        task.cancel()
    return used / waiters


if __name__ == "__main__":
    main()
