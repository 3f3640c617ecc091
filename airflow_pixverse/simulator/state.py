"""What there is at one moment, jobs and accounts, and what can be wrong with a request for a slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class AtCapacityError(Exception):
    """No slot is free where the job was to run."""


class UnknownAccountError(LookupError):
    """No account has this e-mail."""


class UnknownJobError(LookupError):
    """No job with this id is executing."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job that executes; times are seconds since the epoch, and an endless job ends at infinity."""

    id: str
    type: str
    email: str
    started: float
    ends: float
    reply_url: str | None = None
    reply_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """How an account stands."""

    email: str
    max_jobs: int
    executing: int

    @property
    def available(self) -> int:
        """The free slots; none, not fewer, when more executes than ``max_jobs`` allows."""
        return max(0, self.max_jobs - self.executing)


class Snapshot(NamedTuple):
    """Everything there is at one moment."""

    now: float
    jobs: list[Job]
    accounts: list[Account]
