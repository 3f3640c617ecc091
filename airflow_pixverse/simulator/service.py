"""
The simulated service: accounts with slots, and the jobs that take them. No HTTP and no background work.

Every method first applies what is due by now: jobs that arrive and jobs that end. So the state depends on the
clock, the seed and the calls that change it, but not on how often it is read.
"""

from __future__ import annotations

import math
import random
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_pixverse.simulator.arrivals import Arrival, arrivals, draw_seconds
from airflow_pixverse.simulator.state import (
    Account,
    AtCapacityError,
    Job,
    Snapshot,
    UnknownAccountError,
    UnknownJobError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class Service:
    """
    Accounts and jobs; safe to use from several threads.

    :param accounts: how many jobs each account may execute at once, by e-mail
    :param clock: returns the time, in seconds since the epoch
    :param arrivals_per_minute: how many jobs other people submit; one for which no slot is free is lost
    :param job_seconds: how long a submitted job runs, shortest and longest; without it, until it is ended
    :param types: the types of job that other people submit
    :param seed: of the random numbers
    """

    def __init__(
        self,
        accounts: Mapping[str, int],
        *,
        clock: Callable[[], float],
        arrivals_per_minute: float = 0,
        job_seconds: tuple[float, float] | None = None,
        types: Sequence[str] = ("video",),
        seed: int = 0,
    ) -> None:
        self._max_jobs = dict(accounts)
        self._clock = clock
        self._job_seconds = job_seconds
        # Two generators, so that calls of this service do not change what other people submit.
        others, self._random = (random.Random(f"{seed} {use}") for use in ("others", "own"))  # noqa: S311
        self._arrivals = arrivals(clock(), arrivals_per_minute, job_seconds, types, others)
        self._next_arrival = next(self._arrivals, None)
        self._jobs: dict[str, Job] = {}
        self._count = 0
        self._lock = threading.RLock()

    def snapshot(self) -> Snapshot:
        """Return the executing jobs and the accounts as they are now."""
        with self._up_to_date() as now:
            return Snapshot(now, list(self._jobs.values()), self._accounts())

    def start(
        self,
        job_type: str,
        email: str | None = None,
        *,
        max_jobs: int | None = None,
        seconds: float | None = None,
        started: float | None = None,
        reply_url: str | None = None,
        reply_ref: str | None = None,
    ) -> str:
        """
        Start a job, and return its id.

        :param email: the account; without it, a random one with a free slot
        :param max_jobs: overrides, for this job, how many the account may execute at once
        :param seconds: how long the job runs from now on; without it, something between ``job_seconds``
        :param started: the start that the API shows; without it, now
        :raises AtCapacityError: when no slot is free
        :raises UnknownAccountError: when there is no such account
        """
        with self._up_to_date() as now:
            only = None if email is None else self._known(email)
            free = [
                account.email
                for account in self._accounts()
                if only in {None, account.email}
                and account.executing < (account.max_jobs if max_jobs is None else max_jobs)
            ]
            if not free:
                raise AtCapacityError(f"{only or 'Every account'} executes as many jobs as it may")
            if seconds is None:
                seconds = draw_seconds(self._random, self._job_seconds)
            began = now if started is None else started
            chosen = self._random.choice(free)
            return self._add(chosen, job_type, began, now + seconds, reply_url=reply_url, reply_ref=reply_ref)

    def end(self, job_id: str) -> None:
        """End the job, or raise :class:`UnknownJobError`."""
        with self._up_to_date():
            if self._jobs.pop(job_id, None) is None:
                raise UnknownJobError(f"Unable to locate running {job_id}")

    def end_all(self) -> int:
        """End every job, and return how many there were."""
        with self._up_to_date():
            ended = len(self._jobs)
            self._jobs.clear()
            return ended

    def fill(self, seconds: float = math.inf) -> list[str]:
        """Fill every free slot with a video; they end one by one, from ``seconds`` on to 20 % later."""
        with self._up_to_date() as now:
            slots = [account.email for account in self._accounts() for _ in range(account.available)]
            return [
                self._add(email, "video", now, now + seconds * (1 + 0.2 * place / len(slots)))
                for place, email in enumerate(slots)
            ]

    def free(self, email: str | None = None) -> int:
        """Return how many slots are free, at one account or at all."""
        with self._up_to_date():
            only = None if email is None else self._known(email)
            return sum(account.available for account in self._accounts() if only in {None, account.email})

    def set_max_jobs(self, email: str, max_jobs: int) -> None:
        """Change how many jobs the account may execute at once; jobs that are executing continue."""
        with self._up_to_date():
            self._max_jobs[self._known(email)] = max_jobs

    @contextmanager
    def _up_to_date(self) -> Iterator[float]:
        """Hold the lock, apply everything that is due by now, and yield the time."""
        with self._lock:
            now = self._clock()
            while self._next_arrival and self._next_arrival.at <= now:
                self._receive(self._next_arrival)
                self._next_arrival = next(self._arrivals, None)
            self._end_due(now)
            yield now

    def _receive(self, arrival: Arrival) -> None:
        self._end_due(arrival.at)
        if free := [account.email for account in self._accounts() if account.available]:
            self._add(self._random.choice(free), arrival.type, arrival.at, arrival.at + arrival.seconds)

    def _end_due(self, now: float) -> None:
        for job in [job for job in self._jobs.values() if job.ends <= now]:
            del self._jobs[job.id]

    def _add(
        self,
        email: str,
        job_type: str,
        started: float,
        ends: float,
        *,
        reply_url: str | None = None,
        reply_ref: str | None = None,
    ) -> str:
        self._count += 1
        job_id = f"user:1-pixverse:{email}-{job_type}:{self._count}"
        self._jobs[job_id] = Job(job_id, job_type, email, started, ends, reply_url, reply_ref)
        return job_id

    def _accounts(self) -> list[Account]:
        executing = Counter(job.email for job in self._jobs.values())
        return [Account(email, limit, executing[email]) for email, limit in self._max_jobs.items()]

    def _known(self, email: str) -> str:
        for known in self._max_jobs:
            if known.casefold() == email.casefold():
                return known
        raise UnknownAccountError(f"email: no account {email} is configured")
