"""A service to put a gate in front of, on virtual time, and waits at that gate."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from airflow_pixverse.api.scheduler import AccountCapacity, Capacity, ExecutingJob
from airflow_pixverse.gate.capacity_gate import CapacityGate
from airflow_pixverse.gate.waiter import WaitRequest
from tests.unit.gate.virtual_time import now

A, B, C = "a@example.com", "b@example.com", "c@example.com"


@dataclass
class Service:
    """Accounts that execute jobs; counts the calls, and answers with the errors it is told to."""

    max_jobs: dict[str, int]
    answer_seconds: float = 0.0
    jobs: dict[str, str] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)
    errors: list[BaseException | None] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    numbers: itertools.count = field(default_factory=itertools.count)

    def start(self, email: str, reply_ref: str | None = None) -> str:
        job_id = f"user:1-pixverse:{email}-video:{next(self.numbers)}"
        self.jobs[job_id] = email
        self.began[job_id] = now()
        if reply_ref:
            self.references[job_id] = reply_ref
        return job_id

    def end(self, job_id: str) -> None:
        del self.jobs[job_id]

    def fill(self) -> list[str]:
        return [self.start(email) for email, n in self.max_jobs.items() for _ in range(self.free(email, n))]

    def free(self, email: str, max_jobs: int | None = None) -> int:
        limit = self.max_jobs[email] if max_jobs is None else max_jobs
        return limit - sum(job == email for job in self.jobs.values())

    def capacity(self) -> Capacity:
        return Capacity(
            executing=[
                ExecutingJob(
                    id=job_id,
                    email=email,
                    reply_ref=self.references.get(job_id),
                    elapsed=self.elapsed(job_id),
                )
                for job_id, email in self.jobs.items()
            ],
            accounts=[
                AccountCapacity(
                    email=email,
                    max_jobs=limit,
                    executing=limit - self.free(email),
                    available=max(0, self.free(email)),
                )
                for email, limit in self.max_jobs.items()
            ],
        )

    def elapsed(self, job_id: str) -> str | None:
        """Return for how long a job has been running, in whole seconds as the API writes it."""
        if job_id not in self.began:
            return None
        minutes, seconds = divmod(int(now() - self.began[job_id]), 60)
        return f"{minutes:02}:{seconds:02}"

    async def get_capacity(self) -> Capacity:
        self.calls.append(now())
        await asyncio.sleep(self.answer_seconds)
        if self.errors and (error := self.errors.pop(0)):
            raise error
        return self.capacity()

    def gate(self, **kwargs) -> CapacityGate:
        return CapacityGate(
            self.get_capacity, **{"clock": now, "wall_clock": now, "jitter": lambda: 0.0, **kwargs}
        )

    @property
    def gaps(self) -> list[float]:
        """The seconds between the calls."""
        return [round(later - earlier, 3) for earlier, later in zip(self.calls, self.calls[1:], strict=False)]


def a_request(**request) -> WaitRequest:
    """Return the request of a wait that begins now unless told otherwise."""
    return WaitRequest(**{"poke_interval": 10.0, "waiting_since": now(), **request})


async def wait(gate: CapacityGate, **request) -> list[AccountCapacity]:
    """Wait at a gate."""
    with gate.queue(a_request(**request)) as waiter:
        await asyncio.wait({waiter.admitted})
        return waiter.collect()


def tasks(*coroutines: Coroutine) -> list[asyncio.Task]:
    return [asyncio.create_task(coroutine) for coroutine in coroutines]


@asynccontextmanager
async def in_background(*coroutines: Coroutine) -> AsyncIterator[list[asyncio.Task]]:
    """Run coroutines as tasks, and cancel those that are left at the end."""
    started = tasks(*coroutines)
    try:
        await settle()
        yield started
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)


async def settle() -> None:
    """Let all tasks run that can run now."""
    for _ in range(10):
        await asyncio.sleep(0)


def told(accounts: list[AccountCapacity]) -> list[tuple[str, int]]:
    """Return what a waiter was told: which accounts have how many slots for it."""
    return [(account.email, account.available) for account in accounts]
