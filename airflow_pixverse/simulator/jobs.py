"""Jobs: one of them, the list of all, and the decision how a submitted one ends."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from airflow_pixverse.simulator.errors import (
    AtCapacityError,
    FieldError,
    ModeratedPromptError,
    UnknownJobError,
    number,
    text,
)


class Outcome(StrEnum):
    """The ways in which a job ends."""

    COMPLETED = "completed"
    FAILED = "failed"
    MODERATED = "moderated"

    @classmethod
    def named(cls, value: str) -> Self:
        """Return the outcome of that name, or raise :class:`FieldError`."""
        if value not in set(cls):
            raise FieldError("outcome", f"must be one of {', '.join(cls)}")
        return cls(value)


REFUSED = "refused"
BUSY = "busy"
FATES = (*Outcome, REFUSED, BUSY)
# It bounds the memory that fates can take.
MAX_FATES = 1000


@dataclass(frozen=True, slots=True)
class Job:
    """
    A job, from its start on; times are seconds since the epoch, and an endless job ends at infinity.

    :param number: counts the jobs of the service, from 1
    :param tracked: whether the scheduler endpoints list it while it runs
    :param seed: of the result
    :param endpoint: the endpoint that it was submitted to, such as ``videos/create``; None if not submitted
    :param payload: the body of the submit, as it was sent
    :param reason: why it failed or was moderated
    """

    id: str
    number: int
    type: str
    email: str
    started: float
    ends: float
    reply_url: str | None = None
    reply_ref: str | None = None
    tracked: bool = True
    seed: int = 0
    endpoint: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome = Outcome.COMPLETED
    reason: str | None = None

    @property
    def is_off_peak(self) -> bool:
        """Whether it takes no slot while it runs."""
        return self.payload.get("off_peak_mode") is True

    def status(self, now: float) -> str:
        """Return the name of its status, in the API's words."""
        if now >= self.ends:
            return self.outcome.name
        return "QUEUED" if self.is_off_peak else "GENERATING"


class JobList:
    """
    Jobs by id; the list forgets the oldest of those that take no slot, so that memory is bounded.

    :param limit: how many jobs to keep that take no slot: they have finished, were cancelled, or are off-peak
    """

    def __init__(self, limit: int) -> None:
        self._running: dict[str, Job] = {}
        self._others: dict[str, Job] = {}
        self._limit = limit

    def add(self, job: Job) -> None:
        """Add a job that starts."""
        if job.is_off_peak:
            self._keep(job)
        else:
            self._running[job.id] = job

    def find(self, job_id: str) -> Job:
        """Return the job, or raise :class:`UnknownJobError`."""
        job = self._running.get(job_id) or self._others.get(job_id)
        if job is None:
            raise UnknownJobError(f"There is no job {job_id}")
        return job

    def known(self) -> list[Job]:
        """Return all jobs, in the order in which they started."""
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
        ended = replace(job, ends=now)
        self._release([ended if outcome is None else replace(ended, outcome=outcome, reason=reason)])

    def end_all(self, now: float) -> int:
        """End every running job, and return how many there were."""
        running = [replace(job, ends=now) for job in self.known() if job.ends > now]
        self._release(running)
        return len(running)

    def stop_tracking(self, job_id: str) -> None:
        """Free the slot of a tracked job, which goes on, or raise :class:`UnknownJobError`."""
        job = self._running.get(job_id)
        if job is None or not job.tracked:
            raise UnknownJobError(f"Unable to locate running {job_id}")
        self._release([replace(job, tracked=False)])

    def _release(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._running.pop(job.id, None)
            self._keep(job)

    def _keep(self, job: Job) -> None:
        self._others[job.id] = job
        if len(self._others) > self._limit:
            del self._others[next(iter(self._others))]


class Fates:
    """The decision how submitted jobs end: by the prompt, or else at random, in these shares."""

    def __init__(self, failed: float, moderated: float, rng: random.Random) -> None:
        self._failed = number("failed", failed, 1)
        self._moderated = number("moderated", moderated, 1)
        if failed + moderated > 1:
            raise FieldError("moderated", "must be at most 1 together with failed")
        self._rng = rng
        self._by_prompt: dict[str, str] = {}

    def choose(self, prompt: str, fate: str | None) -> None:
        """Set the fate of all prompts that contain ``prompt``; None removes it."""
        if fate is None:
            self._by_prompt = {part: kept for part, kept in self._by_prompt.items() if part != prompt}
            return
        if fate not in FATES:
            raise FieldError("fate", f"must be one of {', '.join(FATES)}")
        if prompt not in self._by_prompt and len(self._by_prompt) >= MAX_FATES:
            raise FieldError("fate", f"{MAX_FATES} are set already; clear them first")
        # Replaced as a whole, as another thread may be reading it.
        self._by_prompt = {**self._by_prompt, text("prompt", prompt): fate}

    def clear(self) -> None:
        """Remove the fates of all prompts."""
        self._by_prompt = {}

    def decide(self, prompt: str) -> Outcome:
        """
        Return how a job with this prompt ends.

        :raises ModeratedPromptError: when moderation refuses the prompt
        :raises AtCapacityError: when the fate is ``busy``, although slots may be free
        """
        # Drawn in any case, so that the fate of one prompt does not change those of others.
        drawn = self._rng.random()
        fate = next((fate for part, fate in self._by_prompt.items() if part in prompt), None)
        if fate == REFUSED:
            raise ModeratedPromptError("The prompt was moderated")
        if fate == BUSY:
            raise AtCapacityError("PixVerse takes no job with this prompt at the moment")
        if fate is not None:
            return Outcome(fate)
        if drawn < self._failed:
            return Outcome.FAILED
        return Outcome.MODERATED if drawn < self._failed + self._moderated else Outcome.COMPLETED
