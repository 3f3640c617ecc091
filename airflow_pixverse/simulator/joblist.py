"""All jobs that the service knows: those that take a slot, and the last of those that do not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_pixverse.simulator.state import Job, Outcome, UnknownJobError

if TYPE_CHECKING:
    from collections.abc import Iterable


class JobList:
    """
    Jobs by id; the oldest of those that take no slot are forgotten, so that memory is bounded.

    :param limit: how many jobs to keep that take no slot: they have finished, were cancelled, or are off-peak
    """

    def __init__(self, limit: int) -> None:
        self._running: dict[str, Job] = {}
        self._others: dict[str, Job] = {}
        self._limit = limit

    def add(self, job: Job) -> None:
        """Add a job that starts."""
        if job.takes_slot:
            self._running[job.id] = job
        else:
            self._keep(job)

    def find(self, job_id: str) -> Job:
        """Return the job, or raise :class:`UnknownJobError`."""
        job = self._running.get(job_id) or self._others.get(job_id)
        if job is None:
            raise UnknownJobError(f"There is no job {job_id}")
        return job

    def known(self) -> list[Job]:
        """Return all jobs that are known, in the order in which they started."""
        return sorted((*self._running.values(), *self._others.values()), key=lambda job: job.number)

    def tracked(self) -> list[Job]:
        """Return the running jobs that the API tracks, in the order in which they started."""
        return [job for job in self._running.values() if job.tracked]

    def slots_taken(self) -> Counter[str]:
        """Return how many slots are taken at each account."""
        return Counter(job.email for job in self._running.values())

    def end_due(self, now: float) -> None:
        """End the jobs whose time is over."""
        self._release(job for job in list(self._running.values()) if job.ends <= now)

    def end(self, job_id: str, now: float, outcome: Outcome | None, reason: str | None) -> None:
        """End a running job, with another outcome if one is given, or raise :class:`UnknownJobError`."""
        job = self._running.get(job_id) or self._others.get(job_id)
        if job is None or job.ends <= now:
            raise UnknownJobError(f"Unable to locate running {job_id}")
        self._end(job, now, outcome, reason)

    def end_all(self, now: float) -> int:
        """End every running job, and return how many there were."""
        running = [job for job in self.known() if job.ends > now]
        for job in running:
            self._end(job, now, None, None)
        return len(running)

    def stop_tracking(self, job_id: str) -> None:
        """Free the slot of a tracked job, which goes on, or raise :class:`UnknownJobError`."""
        job = self._running.get(job_id)
        if job is None or not job.tracked:
            raise UnknownJobError(f"Unable to locate running {job_id}")
        self._release([replace(job, tracked=False, takes_slot=False)])

    def _end(self, job: Job, now: float, outcome: Outcome | None, reason: str | None) -> None:
        ended = replace(job, ends=now)
        self._release([ended if outcome is None else replace(ended, outcome=outcome, reason=reason)])

    def _release(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._running.pop(job.id, None)
            self._keep(job)

    def _keep(self, job: Job) -> None:
        self._others[job.id] = job
        if len(self._others) > self._limit:
            del self._others[next(iter(self._others))]
