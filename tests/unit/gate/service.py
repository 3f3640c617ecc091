"""A service to put a gate in front of, on virtual time."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.models import AccountCapacity, Capacity, ExecutingJob
from airflow_pixverse.gate import CapacityGate, WaitRequest
from tests.unit.gate.virtual_time import now


@dataclass
class Service:
    """Accounts that execute jobs; counts the calls, and answers with the errors it is told to."""

    max_jobs: dict[str, int]
    answer_seconds: float = 0.01
    jobs: dict[str, str] = field(default_factory=dict)
    errors: list[PixverseError] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    numbers: itertools.count = field(default_factory=itertools.count)

    def start(self, email: str) -> str:
        job_id = f"user:1-pixverse:{email}-video:{next(self.numbers)}"
        self.jobs[job_id] = email
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
            executing=[ExecutingJob(id=job_id, email=email) for job_id, email in self.jobs.items()],
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

    async def get_capacity(self) -> Capacity:
        self.calls.append(now())
        await asyncio.sleep(self.answer_seconds)
        if self.errors:
            raise self.errors.pop(0)
        return self.capacity()

    def gate(self, **kwargs) -> CapacityGate:
        loop = asyncio.get_running_loop()
        return CapacityGate(self.get_capacity, clock=loop.time, wall_clock=loop.time, **kwargs)


async def wait(gate: CapacityGate, **request) -> list[AccountCapacity]:
    """Wait at a gate, from now on unless told otherwise."""
    request = {"poke_interval": 10.0, "waiting_since": now(), **request}
    with gate.queue(WaitRequest(**request)) as waiter:
        await asyncio.wait({waiter.admitted})
        return waiter.collect()


async def settle() -> None:
    """Let everybody act who can act now."""
    for _ in range(10):
        await asyncio.sleep(0)
