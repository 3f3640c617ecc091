"""The gate alone: with many waits, with many arrivals, and with jobs that take less than an interval."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import selectors
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence

from airflow_pixverse.api.scheduler import CAPACITY, MAX_JOBS_READ, AccountCapacity, Capacity, ExecutingJob
from airflow_pixverse.gate.admission import admissions
from airflow_pixverse.gate.capacity_gate import CapacityGate
from airflow_pixverse.gate.leases import Lease, Leases
from airflow_pixverse.gate.turns import Turn
from airflow_pixverse.gate.waiter import Queue, Waiter, WaitRequest

WAITERS = (1, 100, 10_000)
INTERVAL = 1.0
SECONDS = 10.0
TICK = 0.001

# The measure of the gate.
WAITS, DISTINCT, SLOTS_EACH = 10_000, 200, 8
EMAILS = [f"account-{number}@example.com" for number in range(100)]

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


def yardstick() -> float:
    """Return the CPU seconds of a bare loop that looks up each of the waits in a set."""
    requests = [(number % DISTINCT, None) for number in range(WAITS)]
    seen = set(requests[:DISTINCT])
    return _median_cpu_seconds(lambda: [one for one in requests if one not in seen])


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
    """Print what it costs to come to the gate, among few and among many."""
    print(f"arrivals at {len(EMAILS)} accounts, pinned to all accounts but the first, which has a slot free")
    for how, batch in (("all at once", WAITS), ("in batches of 10", 10), ("one in a turn of the loop", 1)):
        # The machine's own ups and downs are larger than the difference: take the best of some runs.
        few, many = (min(asyncio.run(_arrive(waits, batch)) for _ in range(3)) for waits in (1000, WAITS))
        print(
            f"  {how}: {few * 1e6:.0f} us CPU each for 1000, {many * 1e6:.0f} us each for {WAITS}: "
            f"{many / few:.2f} times as much (goal: at most 2)"
        )


async def _arrive(waits: int, batch: int) -> float:
    """Return the CPU seconds of each arrival."""

    async def fetch() -> Capacity:
        return _capacity([1, *[0] * (len(EMAILS) - 1)])

    gate = CapacityGate(fetch)
    pinned = [frozenset({email}) for email in EMAILS[1:]]
    waiting = [asyncio.create_task(_wait(gate, emails=emails)) for emails in pinned]
    await asyncio.sleep(0.1)
    start = time.process_time()
    for number in range(waits):
        waiting.append(asyncio.create_task(_wait(gate, emails=pinned[number % len(pinned)])))
        if number % batch == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(0.2)  # until the last of them have been decided about
    seconds = time.process_time() - start
    await _cancel(waiting)
    return seconds / waits


def decisions() -> None:
    """Print how long a decision takes that admits nobody, and one that admits all it can."""
    bare = yardstick()
    print(
        f"a decision over {WAITS} waits on {len(EMAILS)} accounts with {DISTINCT} distinct requests "
        f"(goal: below 50 ms; the yardstick, a bare loop over the waits, takes {bare * 1000:.2f} ms CPU)"
    )
    cases = {
        "nothing free": [0] * len(EMAILS),
        "a slot free that nobody may use": [1, *[0] * (len(EMAILS) - 1)],
        f"{SLOTS_EACH} slots free on each account": [SLOTS_EACH] * len(EMAILS),
    }
    crowds = {
        "of 1 to 6 accounts": (_some_requests(), 1),
        "of any account": ([WaitRequest()], 1),
        "of any account, of 20 DAGs": ([WaitRequest()], 20),
    }
    for (whose, (requests, dags)), (name, free) in itertools.product(crowds.items(), cases.items()):
        queue, capacity = asyncio.run(_queue(requests, dags)), _capacity(free)
        admitted = len(_decide(capacity, queue))
        seconds = _median_cpu_seconds(_decide, capacity, queue)
        print(
            f"  {whose}, {name}: {seconds * 1000:.1f} ms CPU, {seconds / bare:.0f} times the yardstick, "
            f"{admitted} admitted"
        )


def _decide(capacity: Capacity, queue: Queue) -> list[object]:
    return list(admissions(capacity, queue.in_order(), Leases(), 0.0))


def _some_requests() -> list[WaitRequest]:
    """Return requests for 1 to 3 slots on up to 6 accounts, none of which is the first account."""
    dice = random.Random(0)  # noqa: S311 - the same crowd each time
    wanted: dict[WaitRequest, None] = {}
    while len(wanted) < DISTINCT:
        emails = frozenset(dice.sample(EMAILS[1:], dice.randint(1, 6)))
        wanted[WaitRequest(slots=dice.randint(1, 3), emails=emails)] = None
    return list(wanted)


async def _queue(requests: Sequence[WaitRequest], dags: int) -> Queue:
    queue = Queue()
    for number in range(WAITS):
        request = requests[number % len(requests)]
        turn = Turn(0.0, number, dag_id=f"dag {number % dags}", slots=request.slots)
        queue.add(Waiter(request, turn, 0.0, 0.0))
    return queue


def _capacity(free: list[int]) -> Capacity:
    return Capacity(
        accounts=[
            AccountCapacity(email=email, executing=SLOTS_EACH - available, available=available)
            for email, available in zip(EMAILS, free, strict=True)
        ]
    )


def _median_cpu_seconds(work: Callable[..., object], *args: object) -> float:
    seconds = []
    for _ in range(5):
        start = time.process_time()
        work(*args)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def large_answers() -> None:
    """Print what the largest answers cost, beside what it costs to read them."""
    reading = _median_cpu_seconds(CAPACITY.validate_python, _foreign_jobs(0))
    print(
        f"a poll that lists {MAX_JOBS_READ} new jobs of others (to read it takes {reading * 1000:.0f} ms CPU)"
    )
    for number in (8, len(EMAILS) * SLOTS_EACH):
        leases = Leases()
        for slot in range(number):
            email = EMAILS[slot % len(EMAILS)]
            leases.grant(Lease(frozenset({email}), {email: 1}, 1e9))
        snapshots = [CAPACITY.validate_python(_foreign_jobs(poll)) for poll in range(5)]
        seconds = _median_cpu_seconds(lambda: leases.observe(snapshots.pop(), 0.0))  # noqa: B023
        print(f"  {number} leases open: {seconds / reading:.2f} times that to see which leases they end")


def _foreign_jobs(poll: int) -> dict[str, object]:
    jobs = range(poll * MAX_JOBS_READ, (poll + 1) * MAX_JOBS_READ)
    return {"executing": [{"id": f"user:1-pixverse:other@example.com-video:{job}"} for job in jobs]}


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
            f"({tracked / alone:.1f} times as much as with one job)"
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
                await tracker.wait_until_listed()
                await tracker.wait_until_unlisted()

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
