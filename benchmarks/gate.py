"""The gate alone: with many who wait, with many who come, and with jobs that take less than an interval."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import random
import selectors
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence

from airflow_pixverse.api.models import AccountCapacity, Capacity, ExecutingJob
from airflow_pixverse.gate import CapacityGate, Waiter, WaitRequest
from airflow_pixverse.gate.admission import admissions
from airflow_pixverse.gate.leases import Lease, Leases
from airflow_pixverse.gate.queues import Queue
from airflow_pixverse.gate.snapshot import Snapshot

WAITERS = (1, 100, 10_000)
INTERVAL = 1.0
SECONDS = 10.0
TICK = 0.001

EMAILS = [f"account-{number}@example.com" for number in range(24)]
ARRIVALS = 5000

# As many as are read of an answer.
MANY_JOBS, MANY_ACCOUNTS = 10_000, 1_000

TRACKED, POLLS = 1000, 50

JOBS, JOB_SECONDS, SLOTS, POKE_INTERVAL = 60, 15.0, 4, 60.0


def main() -> None:
    """Print the figures."""
    crowds()
    arrivals()
    decisions()
    large_answers()
    tracked_jobs()
    short_jobs()


def crowds() -> None:
    """Print what many waiters cost."""
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
        # Every second time a slot is free, and the job of the wait that got the last one has shown up.
        return Capacity(
            executing=[ExecutingJob(id=f"user:1-pixverse:a@example.com-video:{calls // 2}")],
            accounts=[
                AccountCapacity(email="a@example.com", executing=7, available=calls % 2 if waiters > 1 else 0)
            ],
        )

    gate = CapacityGate(fetch)
    waiting = [asyncio.create_task(_wait(gate, poke_interval=INTERVAL)) for _ in range(waiters)]
    await asyncio.sleep(INTERVAL)  # to arrive is measured below
    before, lags, end = calls, [], time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        await asyncio.sleep(TICK)
        lags.append(time.perf_counter() - start - TICK)
    await _cancel(waiting)
    return calls - before, lags


async def _wait(gate: CapacityGate, **request: object) -> None:
    with gate.queue(WaitRequest(**{"waiting_since": time.time(), **request})) as waiter:  # type: ignore[arg-type]
        await asyncio.wait({waiter.admitted})


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


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
    await _cancel([warm_up, *waiting])
    return used / waiters


def arrivals() -> None:
    """Print what it costs to come to the gate, with and without a slot free for somebody else."""
    print(f"{ARRIVALS} arrivals at {len(EMAILS)} accounts, pinned to all accounts but the first")
    for how, batch in (("all at once", ARRIVALS), ("in batches of 10", 10), ("one in a turn of the loop", 1)):
        # The machine's own ups and downs are larger than the difference: take the best of some runs.
        full, free = (min(asyncio.run(_arrive(slots, batch)) for _ in range(3)) for slots in (0, 1))
        print(
            f"  {how}: {full:.2f} s CPU with nothing free, {free:.2f} s with a slot free that they may not "
            f"use: {free / full:.2f} times as much (goal: at most 2)"
        )


async def _arrive(free: int, batch: int) -> float:
    async def fetch() -> Capacity:
        return _capacity([free, *[0] * (len(EMAILS) - 1)])

    gate = CapacityGate(fetch)
    pinned = [frozenset({email}) for email in EMAILS[1:]]
    waiting = [asyncio.create_task(_wait(gate, emails=emails)) for emails in pinned]
    await asyncio.sleep(0.1)
    start = time.process_time()
    for number in range(ARRIVALS):
        waiting.append(asyncio.create_task(_wait(gate, emails=pinned[number % len(pinned)])))
        if number % batch == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(0.2)  # until the last of them have been decided about
    seconds = time.process_time() - start
    await _cancel(waiting)
    return seconds


def decisions() -> None:
    """Print how long a decision takes that admits nobody, and one that admits all it can."""
    queue = asyncio.run(_crowd(10_000, distinct=5000))
    print(f"a decision over {len(queue)} waits with {len(queue.lines)} distinct requests")
    cases = {
        "nothing free": [0] * 24,
        "a slot free that nobody may use": [1, *[0] * 23],
        "8 slots free on each account": [8] * 24,
    }
    for name, free in cases.items():
        capacity, seconds, admitted = _capacity(free), [], 0
        for _ in range(5):
            start = time.process_time()
            admitted = len(list(admissions(Snapshot(capacity), queue.lines, Leases(), 0.0)))
            seconds.append(time.process_time() - start)
        milliseconds = statistics.median(seconds) * 1000
        print(f"  {name}: {milliseconds:.1f} ms CPU, {admitted} admitted (goal: below 50 ms)")


async def _crowd(waits: int, distinct: int) -> Queue:
    """Return a queue of waits for 1 to 3 slots on up to 6 accounts, none of which is the first account."""
    dice = random.Random(0)  # noqa: S311 - the same crowd each time
    wanted: set[tuple[int, frozenset[str]]] = set()
    while len(wanted) < distinct:
        wanted.add((dice.randint(1, 3), frozenset(dice.sample(EMAILS[1:], dice.randint(1, 6)))))
    loop = asyncio.get_running_loop()
    queue = Queue()
    for number, (slots, emails) in enumerate(itertools.islice(itertools.cycle(wanted), waits)):
        request = WaitRequest(slots=slots, emails=emails, waiting_since=dice.random())
        turn = (request.waiting_since, number)
        queue.add(Waiter(request, turn, 0.0, 0.0, loop.create_future(), loop.create_future()))
    return queue


def _capacity(free: list[int]) -> Capacity:
    return Capacity(
        accounts=[
            AccountCapacity(email=email, executing=8 - available, available=available)
            for email, available in zip(EMAILS, free, strict=True)
        ]
    )


def large_answers() -> None:
    """Print what the largest answers cost the event loop: many jobs, and many accounts with room."""
    print(f"the largest answers: {MANY_JOBS} jobs on {MANY_ACCOUNTS} accounts")
    accounts = [f"account-{number}@example.com" for number in range(MANY_ACCOUNTS)]
    for number in (10, 1000):
        leases = Leases()
        for email in accounts[:number]:
            leases.grant(Lease(frozenset({email}), {email: 1}, math.inf))
        seconds = [_cpu_seconds(leases.observe, _foreign_jobs(poll), float(poll)) for poll in range(30)]
        print(
            f"  a poll that lists {MANY_JOBS} new jobs of others, {number} leases open: "
            f"{seconds[0] * 1000:.0f} ms CPU, {seconds[-1] * 1000:.0f} ms after {len(seconds) - 1} such polls"
        )
    capacity = Capacity(
        accounts=[AccountCapacity(email=email, executing=0, available=8) for email in accounts]
    )
    crowds: dict[str, Sequence[frozenset[str] | None]] = {
        "each pinned to an account": [frozenset({email}) for email in accounts],
        "for any": [None],
    }
    for name, emails in crowds.items():
        queue = asyncio.run(_waits_for(3000, emails))
        seconds_taken = _cpu_seconds(
            lambda waits: list(admissions(Snapshot(capacity), waits.lines, Leases(), 0.0)), queue
        )
        print(f"  a decision that admits {len(queue)} waits, {name}: {seconds_taken * 1000:.0f} ms CPU")


def _cpu_seconds(work: Callable[..., object], *args: object) -> float:
    start = time.process_time()
    work(*args)
    return time.process_time() - start


def _foreign_jobs(poll: int) -> Capacity:
    ids = (f"user:1-pixverse:other@example.com-video:{poll * MANY_JOBS + job}" for job in range(MANY_JOBS))
    return Capacity(executing=[ExecutingJob(id=job_id) for job_id in ids])


async def _waits_for(waits: int, emails: Sequence[frozenset[str] | None]) -> Queue:
    """Return a queue of waits for one slot, each of the next of these accounts."""
    loop = asyncio.get_running_loop()
    queue = Queue()
    for number, mine in enumerate(itertools.islice(itertools.cycle(emails), waits)):
        request = WaitRequest(emails=mine)
        queue.add(Waiter(request, (0.0, number), 0.0, 0.0, loop.create_future(), loop.create_future()))
    return queue


def tracked_jobs() -> None:
    """Print what a poll costs the event loop while many jobs are tracked."""
    ids = [f"user:1-pixverse:a@example.com-video:{number}" for number in range(TRACKED)]
    executing = Capacity(executing=[ExecutingJob(id=job_id) for job_id in ids])
    for how, snapshots in {
        "all go on executing": [executing],
        "all leave the list, and come back": [executing, Capacity()],
    }.items():
        alone, tracked = (asyncio.run(_follow(some, snapshots)) for some in (ids[:1], ids))
        print(
            f"a poll while {TRACKED} jobs are tracked, {how}: {tracked * 1000:.2f} ms CPU "
            f"({alone * 1000:.2f} ms with one job; a loop of its own for each job took 520 ms)"
        )


async def _follow(ids: Sequence[str], snapshots: Sequence[Capacity]) -> float:
    """Return the CPU seconds of a poll, in which everybody acts on what it tells."""
    polls = 0
    begun, done = asyncio.Event(), asyncio.Event()

    async def fetch() -> Capacity:
        nonlocal polls
        polls += 1
        if polls > 1:
            begun.set()
        if polls == POLLS:
            done.set()
        return snapshots[polls % len(snapshots)]

    async def follow(job_id: str) -> None:
        with gate.track(job_id, 0.0) as tracker:
            while True:
                await tracker.listed()
                await tracker.gone()

    gate = CapacityGate(fetch)
    following = [asyncio.create_task(follow(job_id)) for job_id in ids]
    await begun.wait()  # to come to the gate is not what is measured
    first, start = polls, time.process_time()
    await done.wait()
    seconds = (time.process_time() - start) / (polls - first)
    await _cancel(following)
    return seconds


def short_jobs() -> None:
    """Print how long short jobs take at a long interval, through the gate and where each wait polls."""
    gate = statistics.mean(_on_virtual_time(_through_the_gate) for _ in range(20))
    together = _polling(spread=0.0)
    apart = statistics.mean(_polling(spread=POKE_INTERVAL) for _ in range(20))
    print(
        f"{JOBS} jobs of {JOB_SECONDS:g} s on {SLOTS} slots at poke_interval={POKE_INTERVAL:g}, simulated\n"
        f"  {gate:.0f} s through the gate\n"
        f"  {together:.0f} s if each wait polls for itself and all begin together: the gate takes "
        f"{gate / together:.2f} times as long (goal: at most 1.25)\n"
        f"  {apart:.0f} s if each wait polls for itself at times spread over the interval: "
        f"up to {JOBS} calls an interval\n"
        f"  {JOBS / SLOTS * JOB_SECONDS:.0f} s if every slot were taken at once"
    )


class _Service:
    """Slots that execute jobs of the same length, on virtual time."""

    def __init__(self) -> None:
        self.jobs: dict[int, float] = {}
        self.numbers = itertools.count()

    def executing(self, now: float) -> list[int]:
        self.jobs = {number: end for number, end in self.jobs.items() if end > now}
        return list(self.jobs)

    def submit(self, now: float) -> None:
        self.jobs[next(self.numbers)] = now + JOB_SECONDS


async def _through_the_gate() -> float:
    loop = asyncio.get_running_loop()
    service = _Service()
    start = loop.time()

    async def fetch() -> Capacity:
        executing = service.executing(loop.time())
        jobs = [ExecutingJob(id=f"user:1-pixverse:a@example.com-video:{number}") for number in executing]
        account = AccountCapacity(email="a@example.com", executing=len(jobs), available=SLOTS - len(jobs))
        return Capacity(executing=jobs, accounts=[account])

    gate = CapacityGate(fetch, clock=loop.time, wall_clock=loop.time)

    async def wait_and_submit() -> None:
        request = WaitRequest(poke_interval=POKE_INTERVAL, waiting_since=start)
        with gate.queue(request) as waiter:
            await asyncio.wait({waiter.admitted})
            waiter.collect()
        service.submit(loop.time())

    await asyncio.gather(*(wait_and_submit() for _ in range(JOBS)))
    return loop.time() + JOB_SECONDS - start


def _polling(spread: float) -> float:
    """Return how long it takes if each wait polls for itself, the first time within ``spread`` seconds."""
    service = _Service()
    polls = [(random.uniform(0, spread), number) for number in range(JOBS)]  # noqa: S311
    heapq.heapify(polls)
    end = 0.0
    while polls:
        now, number = polls[0]
        if len(service.executing(now)) < SLOTS:
            heapq.heappop(polls)
            service.submit(now)
            end = now + JOB_SECONDS
        else:
            heapq.heapreplace(polls, (now + POKE_INTERVAL, number))
    return end


class _SkippingSelector(selectors.DefaultSelector):
    """Instead of sleeping, moves the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``loop.time()`` is the only clock."""

    def __init__(self) -> None:
        self._skipping = _SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


def _on_virtual_time(main: Callable[[], Awaitable[float]]) -> float:
    async def run() -> float:
        return await main()

    with asyncio.Runner(loop_factory=_VirtualTimeLoop) as runner:
        return runner.run(run())


if __name__ == "__main__":
    main()
