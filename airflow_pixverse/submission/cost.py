"""Cost: the credits of jobs and of their account, as far as they are known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.kinds import split_job_id

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.hooks.pixverse import PixverseHook
    from airflow_pixverse.submission.state import SubmitState

log = logging.getLogger(__name__)

# A number that Airflow can carry through a trigger.
_CREDITS = range(2**63)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """
    The cost of the jobs of one submit, in credits. None if unknown.

    :param cost_credits: what the service said that they cost, all together.
    :param credits_before: what the account had right before they were submitted.
    :param credits_after: what the account had once they were finished, well or not.
    :param email: the account, as the ids of the jobs tell it.
    """

    cost_credits: int | None = None
    credits_before: int | None = None
    credits_after: int | None = None
    email: str | None = None

    @classmethod
    def of(cls, state: SubmitState) -> Self:
        """Return the cost of the jobs that a task waits for, while they are not finished."""
        job = next(filter(None, map(split_job_id, state.job_ids)), None)
        return cls(
            cost_credits=state.cost_credits,
            credits_before=state.credits_before,
            email=job.email if job else None,
        )

    def after(self, service: PixverseClient | PixverseHook) -> Self:
        """Return it with the credits that the account has now."""
        return replace(self, credits_after=read_credits(service, self.email))

    def to_xcom(self) -> dict[str, Any]:
        """Return its JSON form."""
        return asdict(self)

    def added_to(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON form of a result with the credits; fields of the service itself win."""
        fields = self.to_xcom()
        del fields["email"]
        return fields | result

    def describe(self, job_ids: Sequence[str]) -> str:
        """Return it as one line; empty where nothing is known."""
        jobs = f"{'Job' if len(job_ids) == 1 else 'Jobs'} {', '.join(job_ids)}"
        cost = f"{jobs} cost {self.cost_credits} credits"
        if self.cost_credits is None:
            cost = f"{jobs}: the API did not say what it cost"
        balance = " and ".join(
            words
            for number, words in (
                (self.credits_before, f"had {self.credits_before} before"),
                (self.credits_after, f"has {self.credits_after} now"),
            )
            if number is not None
        )
        if not balance:
            return "" if self.cost_credits is None else cost
        return f"{cost}; {f'account {self.email}' if self.email else 'the account'} {balance}"


def known_credits(value: object) -> int | None:
    """Return a number of credits that the service told. None if it is no such number."""
    return value if type(value) is int and value in _CREDITS else None


def read_credits(service: PixverseClient | PixverseHook, email: str | None) -> int | None:
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
