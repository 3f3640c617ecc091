"""Cost: the credits of jobs and of their account, as far as they are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from airflow_pixverse.api.credits import AccountCredits, CreditsClient, read_credits
from airflow_pixverse.api.kinds import account_of

if TYPE_CHECKING:
    from airflow_pixverse.waits.submit_state import SubmitState


@dataclass(frozen=True, kw_only=True)
class Cost:
    """
    The cost of the jobs of one submit, in credits. None if unknown.

    :param cost_credits: what the service said that they cost, all together.
    :param credits_before: what the account had before they were submitted, at most a minute earlier.
    :param credits_after: what the account had after they were submitted; read when they are finished, well or
        not, or by another task of the triggerer up to a minute earlier.
    :param email: the account, as the ids of the jobs tell it.
    """

    cost_credits: int | None = None
    credits_before: int | None = None
    credits_after: int | None = None
    email: str | None = None

    @classmethod
    def of(cls, state: SubmitState) -> Self:
        """Return the cost of the jobs that a task waits for, while they are not finished."""
        return cls(
            cost_credits=state.cost_credits,
            credits_before=state.credits_before,
            email=account_of(state.job_ids),
        )

    def after(self, service: CreditsClient, known: AccountCredits | None = None) -> Self:
        """
        Return it with the credits that the account has now.

        :param known: credits that the triggerer has read; None to read them now.
        """
        left = read_credits(service, self.email) if known is None else known.left
        return replace(self, credits_after=left)

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
