"""The credits of an account, where not knowing them is no reason to fail."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from airflow_pixverse.api.errors import PixverseError

if TYPE_CHECKING:
    from airflow_pixverse.api.accounts import Account, Features

log = logging.getLogger(__name__)

# A number that Airflow can carry through a trigger.
_CREDITS = range(2**63)


class CreditsClient(Protocol):
    """The calls that tell credits, of a client or a hook that does not retry."""

    def get_accounts(self) -> list[Account]:
        """Return the accounts."""

    def get_features(self, email: str | None = None) -> Features:
        """Return plan and credits of an account."""


class AccountCredits(NamedTuple):
    """
    The credits of an account, on their way from the triggerer to a worker.

    :param email: the account; None for the only one.
    :param left: the credits. None if unknown.
    """

    email: str | None
    left: int | None

    @classmethod
    def from_json(cls, value: Any) -> Self | None:
        """Return the credits that :meth:`to_json` made plain JSON of. None if it is something else."""
        match value:
            case {"email": str() | None as email, "left": left}:
                return cls(email, known_credits(left))
        return None

    def to_json(self) -> dict[str, Any]:
        """Return their JSON form."""
        return self._asdict()


def known_credits(value: object) -> int | None:
    """Return a number of credits that the service told. None if it is no such number."""
    return value if type(value) is int and value in _CREDITS else None


def read_credits(service: CreditsClient, email: str | None) -> int | None:
    """
    Return how many credits an account has. None if unknown, which is no reason to fail.

    :param service: a client or hook that does not retry.
    :param email: the account; None for the only one, where there is only one.
    """
    try:
        if email is None:
            accounts = service.get_accounts()
            email = accounts[0].email if len(accounts) == 1 else None
        return known_credits(service.get_features(email).credits) if email else None
    except PixverseError as error:
        log.warning("The credits of %s are not known: %s", email or "the account", error)
        return None


def keeps_enough(left: int, min_credits: int, cost: int = 1) -> bool:
    """
    Return whether an account keeps enough once a job is paid for.

    :param left: what the account has.
    :param min_credits: what it is to keep.
    :param cost: what the job costs. An unknown cost is more than nothing, and counts as 1.
    """
    return left - cost >= min_credits
