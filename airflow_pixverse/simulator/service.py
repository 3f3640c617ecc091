"""
The simulated service: accounts with slots, and the jobs that take them. No HTTP and no background work.

Every method first applies the arrivals and ends of jobs that are due by now. So the state depends on the
clock, the seed and the calls that change it, but not on how often it is read.
"""

import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from airflow_pixverse.simulator.accounts import Account, Accounts
from airflow_pixverse.simulator.errors import FieldError
from airflow_pixverse.simulator.jobs import Fates, Job, JobList, Outcome

# Of those that take no slot.
KEPT_JOBS = 10_000
PLAN_SECONDS = 30 * 24 * 3600
MAX_SEED = 2_147_483_647
# The price of every job here, if credits are counted at all.
JOB_CREDITS = 20


class Snapshot(NamedTuple):
    """The jobs that the API tracks and all accounts at one moment, ``now``."""

    now: float
    jobs: list[Job]
    accounts: list[Account]


class Accepted(NamedTuple):
    """The ids of submitted jobs, and their cost; None if credits are not counted."""

    ids: list[str]
    cost: int | None


class Arrival(NamedTuple):
    """A job that another user submits: the time (seconds since the epoch), how long it runs, and its type."""

    at: float
    seconds: float
    type: str


class Service:
    """
    Accounts and jobs; safe to use from several threads.

    The parameters are those of :class:`~airflow_pixverse.simulator.Simulator`, and:

    :param arrivals_per_minute: how many jobs other users submit; a job for which no slot is free is lost
    :param types: the types of job that other users submit
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
        failed: float = 0,
        moderated: float = 0,
        credits: int | None = None,  # noqa: A002 - the API's word
        result_delay: float = 0,
    ) -> None:
        self._clock = clock
        self._job_seconds = job_seconds
        self._result_delay = result_delay
        # Several generators, so that calls of this service do not change the arrivals, and the outcome of a
        # job does not change its account and its seconds.
        self._others, self._random, self._results = (
            random.Random(f"{seed} {use}")  # noqa: S311
            for use in ("others", "own", "results")
        )
        now = clock()
        self._accounts = Accounts(accounts, now + PLAN_SECONDS, credits)
        self._arrivals = self._generate_arrivals(now, arrivals_per_minute, types)
        self._next_arrival = next(self._arrivals, None)
        self._jobs = JobList(KEPT_JOBS)
        self._count = 0
        self._submitted = 0
        self._lock = threading.RLock()
        self._grew = threading.Condition(self._lock)
        self.fates = Fates(failed, moderated, self._results)
        self.user = "1"
        """The number of the user whom the API answers; new jobs have it in their ids."""

    @property
    def submitted_count(self) -> int:
        """The number of jobs that were submitted through the API, kept or not."""
        return self._submitted

    @property
    def now(self) -> float:
        """The time of the service, in seconds since the epoch."""
        return self._clock()

    def snapshot(self) -> Snapshot:
        """Return the user's jobs that the API tracks, and the accounts, as they are now."""
        with self._up_to_date() as now:
            return Snapshot(now, [job for job in self._jobs.tracked() if self.is_own(job)], self._view())

    def is_own(self, job: Job) -> bool:
        """Return whether a job belongs to the user."""
        return job.id.startswith(f"user:{self.user}-")

    def jobs(self) -> list[Job]:
        """Return the jobs that are known, in the order in which they started."""
        with self._up_to_date():
            return self._jobs.known()

    def find(self, job_id: str) -> Job:
        """Return the job, or raise :class:`UnknownJobError`."""
        with self._up_to_date():
            return self._jobs.find(job_id)

    def account(self, email: str | None = None) -> Account:
        """Return the account as it is now; the e-mail may be left out where there is only one."""
        accounts = self.snapshot().accounts
        if email is None and len(accounts) != 1:
            raise FieldError("email", "is required unless exactly one account is configured")
        known = self._accounts.find(email or accounts[0].email).email
        return next(account for account in accounts if account.email == known)

    def status(self, job: Job) -> str:
        """Return the name of the job's status, as its result shows it now."""
        return job.status(self._clock() - self._result_delay)

    def start(
        self,
        job_type: str,
        email: str | None = None,
        *,
        max_jobs: int | None = None,
        seconds: float | None = None,
        started: float | None = None,
        **details: Any,
    ) -> str:
        """
        Start a job, and return its id.

        :param email: the account; None for a random one with a free slot
        :param max_jobs: overrides, for this job, how many the account may execute at once
        :param seconds: how long the job runs from now on; None for a random time between ``job_seconds``
        :param started: the start that the API shows; None for now
        :param details: the other fields of :class:`~airflow_pixverse.simulator.jobs.Job`
        :raises ServiceError: when no account can take it; see :meth:`Accounts.select`
        """
        with self._up_to_date() as now:
            able = self._accounts.select(email, self._jobs.slots_taken(), slots=1, max_jobs=max_jobs)
            if seconds is None:
                seconds = self._draw_seconds(self._random)
            began = now if started is None else started
            return self._add(self._random.choice(able).email, job_type, began, now + seconds, **details)

    def submit(
        self,
        job_type: str,
        email: str | None = None,
        *,
        count: int = 1,
        max_jobs: int | None = None,
        **details: Any,
    ) -> Accepted:
        """
        Start the jobs of one submit through the API, at one account.

        :param count: how many jobs the submit starts; all start, or none
        :param details: the other fields of :class:`~airflow_pixverse.simulator.jobs.Job`
        :raises ServiceError: when no account can take it, or its prompt is refused
        """
        with self._up_to_date() as now:
            payload = details.get("payload", {})
            off_peak = payload.get("off_peak_mode") is True
            cost = count * JOB_CREDITS
            slots = 0 if off_peak else count
            taken = self._jobs.slots_taken()
            able = self._accounts.select(email, taken, slots=slots, max_jobs=max_jobs, cost=cost)
            outcomes = [self.fates.decide(payload.get("prompt") or "") for _ in range(count)]
            account = self._random.choice(able)
            if account.credits is not None:
                account.credits -= cost
            details |= {
                "tracked": not off_peak,
                "seed": payload.get("seed") or self._results.randint(1, MAX_SEED),
            }
            ids = []
            for outcome in outcomes:
                ends = now + self._draw_seconds(self._random)
                ids.append(self._add(account.email, job_type, now, ends, outcome=outcome, **details))
            self._submitted += count
            self._grew.notify_all()
            return Accepted(ids, None if account.credits is None else cost)

    def end(self, job_id: str, outcome: Outcome | None = None, reason: str | None = None) -> None:
        """End the job, with another outcome if one is given, or raise :class:`UnknownJobError`."""
        with self._up_to_date() as now:
            self._jobs.end(job_id, now, outcome, reason)

    def end_all(self) -> int:
        """End every job, and return how many there were."""
        with self._up_to_date() as now:
            return self._jobs.end_all(now)

    def cancel(self, job_id: str) -> None:
        """Stop tracking the job, which frees its slot; the job goes on. Or raise :class:`UnknownJobError`."""
        with self._up_to_date():
            self._jobs.stop_tracking(job_id)

    def fill(self, seconds: float = math.inf) -> list[str]:
        """Fill every free slot with a video; they end one by one, from ``seconds`` on to 20 % later."""
        with self._up_to_date() as now:
            accounts = self._accounts.view(self._jobs.slots_taken())
            slots = [account.email for account in accounts for _ in range(account.available)]
            return [
                self._add(email, "video", now, now + seconds * (1 + 0.2 * place / len(slots)))
                for place, email in enumerate(slots)
            ]

    def free(self, email: str | None = None) -> int:
        """Return how many slots the API shows as free, at one account or at all."""
        with self._up_to_date():
            only = None if email is None else self._accounts.find(email).email
            return sum(account.available for account in self._view() if only in {None, account.email})

    def configure(self, email: str, **changes: Any) -> None:
        """Change fields of the account, or raise :class:`UnknownAccountError`."""
        with self._up_to_date():
            account = self._accounts.find(email)
            for name, value in changes.items():
                setattr(account, name, value)

    def wait_for_submitted(self, count: int, timeout: float) -> None:
        """Wait until ``count`` jobs were submitted, or raise ``TimeoutError`` after ``timeout`` seconds."""
        with self._grew:
            if not self._grew.wait_for(lambda: self._submitted >= count, timeout):
                raise TimeoutError(f"{self._submitted} of {count} jobs were submitted within {timeout} s")

    @contextmanager
    def _up_to_date(self) -> Iterator[float]:
        """Hold the lock, apply the arrivals and ends that are due by now, and yield the time."""
        with self._lock:
            now = self._clock()
            while self._next_arrival and self._next_arrival.at <= now:
                self._receive(self._next_arrival)
                self._next_arrival = next(self._arrivals, None)
            self._jobs.end_due(now)
            yield now

    def _receive(self, arrival: Arrival) -> None:
        self._jobs.end_due(arrival.at)
        taken = self._jobs.slots_taken()
        if free := [account.email for account in self._accounts.view(taken) if account.available]:
            self._add(self._random.choice(free), arrival.type, arrival.at, arrival.at + arrival.seconds)

    def _generate_arrivals(self, at: float, per_minute: float, types: Sequence[str]) -> Iterator[Arrival]:
        """Yield jobs without end, at random moments that average ``per_minute``."""
        while per_minute:
            at += self._others.expovariate(per_minute / 60)
            yield Arrival(at, self._draw_seconds(self._others), self._others.choice(types))

    def _draw_seconds(self, rng: random.Random) -> float:
        return rng.uniform(*self._job_seconds) if self._job_seconds else math.inf

    def _add(self, email: str, job_type: str, started: float, ends: float, **details: Any) -> str:
        self._count += 1
        job_id = f"user:{self.user}-pixverse:{email}-{job_type}:{self._count}"
        self._jobs.add(Job(job_id, self._count, job_type, email, started, ends, **details))
        return job_id

    def _view(self) -> list[Account]:
        """Return the accounts as the API sees them: it knows only of the jobs that it tracks."""
        return self._accounts.view(Counter(job.email for job in self._jobs.tracked()))
