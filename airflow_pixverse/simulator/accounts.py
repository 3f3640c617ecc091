"""The configured accounts, and which of them can take a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from airflow_pixverse.simulator.state import (
    Account,
    AccountError,
    AtCapacityError,
    CreditsUsedUpError,
    UnknownAccountError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Configuration:
    """What can be changed of an account; the fields are those of :class:`Account`."""

    email: str
    max_jobs: int
    expires: float
    credits: int | None = None
    pending_error: str | None = None


class Changes(TypedDict, total=False):
    """What to change of an account."""

    max_jobs: int
    expires: float
    credits: int | None
    pending_error: str | None


class Accounts:
    """
    The accounts, by e-mail in any case.

    :param max_jobs: how many jobs each may execute at once, by e-mail
    :param expires: when their plans end, in seconds since the epoch
    :param credits: how many each has; ``None`` means that they are never used up
    """

    def __init__(self, max_jobs: Mapping[str, int], expires: float, credits: int | None = None) -> None:  # noqa: A002 - the API's word
        self._accounts = [Configuration(email, limit, expires, credits) for email, limit in max_jobs.items()]

    def find(self, email: str) -> Configuration:
        """Return the account, or raise :class:`UnknownAccountError`."""
        for account in self._accounts:
            if account.email.casefold() == email.casefold():
                return account
        raise UnknownAccountError(f"email: no account {email} is configured")

    def view(self, executing: Mapping[str, int]) -> list[Account]:
        """Return all accounts as they are now, given how many jobs the API executes at each."""
        return [
            Account(a.email, a.max_jobs, executing.get(a.email, 0), a.expires, a.credits, a.pending_error)
            for a in self._accounts
        ]

    def able(
        self,
        email: str | None,
        taken: Mapping[str, int],
        *,
        slots: int,
        max_jobs: int | None = None,
        cost: int = 0,
    ) -> list[Configuration]:
        """
        Return the accounts that can take a job, at least one.

        :param email: only this account may take it
        :param taken: how many slots are taken at each account
        :param slots: how many slots the job takes
        :param max_jobs: overrides how many slots an account has
        :param cost: how many credits the job costs
        :raises UnknownAccountError: when there is no such account
        :raises AccountError: when a pending error keeps them from it
        :raises AtCapacityError: when too few slots are free
        :raises CreditsUsedUpError: when there are too few credits
        """
        asked = self._accounts if email is None else [self.find(email)]
        healthy = [account for account in asked if account.pending_error is None]
        if asked and not healthy:
            raise AccountError(f"{asked[0].email}: {asked[0].pending_error}")
        free = [
            account
            for account in healthy
            if slots == 0
            or taken.get(account.email, 0) + slots <= (account.max_jobs if max_jobs is None else max_jobs)
        ]
        if not free:
            raise AtCapacityError(f"{email or 'Every account'} executes as many jobs as it may")
        paying = [account for account in free if account.credits is None or account.credits >= cost]
        if not paying:
            raise CreditsUsedUpError(f"{email or 'Every account'} has too few credits")
        return paying
