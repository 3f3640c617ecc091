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
from typing import TYPE_CHECKING, Any, TypedDict

from airflow_pixverse.simulator.accounts import Accounts, Changes
from airflow_pixverse.simulator.arrivals import Arrival, arrivals, draw_seconds
from airflow_pixverse.simulator.fates import Fates
from airflow_pixverse.simulator.fields import FieldError
from airflow_pixverse.simulator.joblist import JobList
from airflow_pixverse.simulator.state import Accepted, Account, Job, Outcome, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Unpack

# Of those that take no slot.
KEPT_JOBS = 10_000
PLAN_SECONDS = 30 * 24 * 3600
MAX_SEED = 2_147_483_647
# What every job costs here, if credits are counted at all.
JOB_CREDITS = 20


class Details(TypedDict, total=False):
    """What else there is to say about a job; the fields are those of :class:`Job`."""

    reply_url: str | None
    reply_ref: str | None
    tracked: bool
    takes_slot: bool
    seed: int
    endpoint: str | None
    payload: Mapping[str, Any]
    outcome: Outcome
    reason: str | None


class Service:
    """
    Accounts and jobs; safe to use from several threads.

    :param accounts: how many jobs each account may execute at once, by e-mail
    :param clock: returns the time, in seconds since the epoch
    :param arrivals_per_minute: how many jobs other people submit; one for which no slot is free is lost
    :param job_seconds: how long a submitted job runs, shortest and longest; without it, until it is ended
    :param types: the types of job that other people submit
    :param seed: of the random numbers
    :param failed: the share of submitted jobs that fail
    :param moderated: the share of submitted jobs that are moderated once they have run
    :param credits: how many each account has; without it, they are never used up
    :param result_delay: how many seconds after its end a job's result can be seen
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
        # Three generators, so that calls of this service do not change what other people submit, and what
        # comes out of a job does not change its account and its seconds.
        others, self._random, self._results = (
            random.Random(f"{seed} {use}")  # noqa: S311
            for use in ("others", "own", "results")
        )
        now = clock()
        self._accounts = Accounts(accounts, now + PLAN_SECONDS, credits)
        self._arrivals = arrivals(now, arrivals_per_minute, job_seconds, types, others)
        self._next_arrival = next(self._arrivals, None)
        self._jobs = JobList(KEPT_JOBS)
        self._count = 0
        self._submitted = 0
        self._lock = threading.RLock()
        self._grew = threading.Condition(self._lock)
        self.fates = Fates(failed, moderated, self._results)

    @property
    def submitted_count(self) -> int:
        """How many jobs were submitted through the API, kept or not."""
        return self._submitted

    @property
    def now(self) -> float:
        """The time of the service, in seconds since the epoch."""
        return self._clock()

    def snapshot(self) -> Snapshot:
        """Return the jobs that the API tracks, and the accounts, as they are now."""
        with self._up_to_date() as now:
            return Snapshot(now, self._jobs.tracked(), self._view())

    def jobs(self) -> list[Job]:
        """Return the jobs that are known, in the order in which they started."""
        with self._up_to_date():
            return self._jobs.known()

    def find(self, job_id: str) -> Job:
        """Return the job, or raise :class:`UnknownJobError`."""
        with self._up_to_date():
            return self._jobs.find(job_id)

    def account(self, email: str | None = None) -> Account:
        """
        Return the account as it is now.

        :param email: may be left out where only one account is configured
        :raises UnknownAccountError: when there is no such account
        :raises FieldError: when an e-mail is needed
        """
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
        **details: Unpack[Details],
    ) -> str:
        """
        Start a job, and return its id.

        :param email: the account; without it, a random one with a free slot
        :param max_jobs: overrides, for this job, how many the account may execute at once
        :param seconds: how long the job runs from now on; without it, something between ``job_seconds``
        :param started: the start that the API shows; without it, now
        :raises AtCapacityError: when no slot is free
        :raises UnknownAccountError: when there is no such account
        :raises AccountError: when the account has a pending error
        """
        with self._up_to_date() as now:
            slots = int(details.get("takes_slot", True))
            able = self._accounts.able(email, self._jobs.slots_taken(), slots=slots, max_jobs=max_jobs)
            if seconds is None:
                seconds = draw_seconds(self._random, self._job_seconds)
            began = now if started is None else started
            return self._add(self._random.choice(able).email, job_type, began, now + seconds, **details)

    def submit(
        self,
        job_type: str,
        email: str | None = None,
        *,
        count: int = 1,
        max_jobs: int | None = None,
        **details: Unpack[Details],
    ) -> Accepted:
        """
        Start what is submitted through the API, at one account.

        :param count: how many jobs are submitted at once; all start, or none
        :raises ModeratedPromptError: when the prompt is refused
        :raises CreditsUsedUpError: when there are too few credits
        """
        with self._up_to_date() as now:
            payload = details.get("payload", {})
            off_peak = payload.get("off_peak_mode") is True
            cost = count * JOB_CREDITS
            able = self._accounts.able(
                email,
                self._jobs.slots_taken(),
                slots=0 if off_peak else count,
                max_jobs=max_jobs,
                cost=cost,
            )
            outcomes = [self.fates.decide(payload.get("prompt") or "") for _ in range(count)]
            account = self._random.choice(able)
            if account.credits is not None:
                account.credits -= cost
            details |= {
                "tracked": not off_peak,
                "takes_slot": not off_peak,
                "seed": payload.get("seed") or self._results.randint(1, MAX_SEED),
            }
            ids = []
            for outcome in outcomes:
                ends = now + draw_seconds(self._random, self._job_seconds)
                details["outcome"] = outcome
                ids.append(self._add(account.email, job_type, now, ends, **details))
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
        """Stop to track the job, which frees its slot; the job goes on. Or raise :class:`UnknownJobError`."""
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

    def configure(self, email: str, **changes: Unpack[Changes]) -> None:
        """Change the account, or raise :class:`UnknownAccountError`."""
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
        """Hold the lock, apply everything that is due by now, and yield the time."""
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

    def _add(self, email: str, job_type: str, started: float, ends: float, **details: Unpack[Details]) -> str:
        self._count += 1
        job_id = f"user:1-pixverse:{email}-{job_type}:{self._count}"
        self._jobs.add(Job(job_id, self._count, job_type, email, started, ends, **details))
        return job_id

    def _view(self) -> list[Account]:
        """Return the accounts as the API sees them: it knows only of the jobs that it tracks."""
        return self._accounts.view(Counter(job.email for job in self._jobs.tracked()))
