"""The accounts of the service, and the choice of those that can take a job."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from airflow_pixverse.simulator.errors import (
    AccountError,
    AtCapacityError,
    CreditsUsedUpError,
    UnknownAccountError,
)


@dataclass(slots=True)
class Account:
    """
    An account.

    :param max_jobs: how many jobs it may execute at once
    :param expires: the end of its plan, in seconds since the epoch
    :param credits: the credits that are left; None if they are never used up
    :param pending_error: an error that the user must fix before the account takes jobs
    :param executing: how many jobs the API executes there; only :meth:`Accounts.view` fills it in
    """

    email: str
    max_jobs: int
    expires: float
    credits: int | None = None
    pending_error: str | None = None
    executing: int = 0

    @property
    def available(self) -> int:
        """The free slots; 0 when more jobs are executing than ``max_jobs`` allows."""
        return max(0, self.max_jobs - self.executing)


class Accounts:
    """
    The accounts, by e-mail in any case.

    :param max_jobs: how many jobs each may execute at once, by e-mail
    :param expires: the end of their plans, in seconds since the epoch
    """

    def __init__(self, max_jobs: Mapping[str, int], expires: float, credits: int | None = None) -> None:  # noqa: A002 - the API's word
        self._accounts = [Account(email, limit, expires, credits) for email, limit in max_jobs.items()]

    def find(self, email: str) -> Account:
        """Return the account, or raise :class:`UnknownAccountError`."""
        for account in self._accounts:
            if account.email.casefold() == email.casefold():
                return account
        raise UnknownAccountError(f"email: no account {email} is configured")

    def view(self, executing: Mapping[str, int]) -> list[Account]:
        """Return copies of all accounts as they are now, given how many jobs execute at each."""
        return [replace(account, executing=executing.get(account.email, 0)) for account in self._accounts]

    def select(
        self,
        email: str | None,
        taken: Mapping[str, int],
        *,
        slots: int,
        max_jobs: int | None = None,
        cost: int = 0,
    ) -> list[Account]:
        """
        Return the accounts that can take a job, at least one.

        :param email: the only account that may take it; None for all accounts
        :param taken: how many slots are taken at each account
        :param max_jobs: overrides how many slots an account has
        :raises UnknownAccountError: when no account has this e-mail
        :raises AccountError: when a pending error keeps all of them from it
        :raises AtCapacityError: when too few slots are free
        :raises CreditsUsedUpError: when too few credits are left
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
