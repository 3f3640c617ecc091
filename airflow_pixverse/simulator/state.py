"""Jobs, accounts and snapshots of both, and the errors of the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


class AtCapacityError(Exception):
    """No slot is free, at the requested account or at any, or PixVerse says so."""


class UnknownAccountError(LookupError):
    """No account has this e-mail."""


class UnknownJobError(LookupError):
    """No job with this id is executing, or there never was one."""


class AccountError(Exception):
    """The account has a pending error, and takes no job until that is mended."""


class CreditsUsedUpError(Exception):
    """The account has fewer credits than the job costs."""


class ModeratedPromptError(Exception):
    """Moderation refuses the prompt."""


class Outcome(StrEnum):
    """How a job ends."""

    COMPLETED = "completed"
    FAILED = "failed"
    MODERATED = "moderated"


@dataclass(frozen=True, slots=True)
class Job:
    """
    A job, from its start on; times are seconds since the epoch, and an endless job ends at infinity.

    :param number: counts the jobs of the service, from 1
    :param tracked: whether the scheduler endpoints list it while it runs
    :param takes_slot: whether it takes one of its account's slots while it runs
    :param seed: of the result
    :param endpoint: where it was submitted through the API, such as ``videos/create``; else ``None``
    :param payload: what was submitted, as it was sent
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
    takes_slot: bool = True
    seed: int = 0
    endpoint: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome = Outcome.COMPLETED
    reason: str | None = None

    @property
    def off_peak(self) -> bool:
        """Whether it waits until PixVerse has time for it."""
        return self.payload.get("off_peak_mode") is True

    def status(self, now: float) -> str:
        """Return the name of its status, in the API's words."""
        if now >= self.ends:
            return self.outcome.name
        return "QUEUED" if self.off_peak else "GENERATING"


@dataclass(frozen=True, slots=True)
class Account:
    """
    An account: how many jobs it may execute at once, and how many the API executes there.

    :param expires: when its plan ends, in seconds since the epoch
    :param credits: what is left of them; ``None`` means that they are never used up
    :param pending_error: an error that must be mended before it takes jobs
    """

    email: str
    max_jobs: int
    executing: int
    expires: float
    credits: int | None = None
    pending_error: str | None = None

    @property
    def available(self) -> int:
        """The free slots; 0 when more jobs are executing than ``max_jobs`` allows."""
        return max(0, self.max_jobs - self.executing)


class Accepted(NamedTuple):
    """What a submit came to: the ids of the jobs, and what they cost; ``None`` if credits are not counted."""

    ids: list[str]
    cost: int | None


class Snapshot(NamedTuple):
    """The jobs that the API tracks and all accounts at one moment, ``now``."""

    now: float
    jobs: list[Job]
    accounts: list[Account]
