"""Jobs, accounts and snapshots of both, and the errors of the service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class AtCapacityError(Exception):
    """No slot is free, at the requested account or at any."""


class UnknownAccountError(LookupError):
    """No account has this e-mail."""


class UnknownJobError(LookupError):
    """No job with this id is executing."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job that is executing; times are seconds since the epoch, and an endless job ends at infinity."""

    id: str
    type: str
    email: str
    started: float
    ends: float
    reply_url: str | None = None
    reply_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """An account: how many jobs it may execute at once, and how many it executes."""

    email: str
    max_jobs: int
    executing: int

    @property
    def available(self) -> int:
        """The free slots; 0 when more jobs are executing than ``max_jobs`` allows."""
        return max(0, self.max_jobs - self.executing)


class Snapshot(NamedTuple):
    """All jobs and accounts at one moment, ``now``."""

    now: float
    jobs: list[Job]
    accounts: list[Account]
