"""Budget: whether the next row may still be submitted, asked before each POST."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_pixverse.api.credits import keeps_enough
from airflow_pixverse.api.reply_ref import prefix_of
from airflow_pixverse.api.scheduler import email_key

if TYPE_CHECKING:
    from airflow_pixverse.journal import SubmitRecord

# States of submits that are paid for, or may be.
_PAID_FOR = {"sending", "unknown", "accepted", "failed", "moderated", "stored"}
# Jobs of unknown cost after which the service is not going to tell one: a lost answer has none either.
_UNKNOWN_COSTS = 3
# Readings in a row, a minute apart, after which credits stay unknown.
_FAILED_READINGS = 10
# Seconds for which the credits of an account are taken to be what was read, less what was spent since.
_CREDITS_LAST = 60.0


@dataclass(frozen=True)
class Answer:
    """
    An answer of the budget.

    :param allows: whether the row may be submitted now.
    :param stops: why no row may be submitted any more; empty if a later look may allow it.
    :param may_recover: whether a retry may find otherwise.
    """

    allows: bool
    stops: str = ""
    may_recover: bool = False


_YES, _NOT_NOW = Answer(allows=True), Answer(allows=False)


def _never(why: str) -> Answer:
    return Answer(allows=False, stops=why)


class CreditLimit:
    """
    The limit of what one run costs in one folder (``max_credits``).

    A job whose cost the service does not tell counts as the dearest one that was seen. Until the first cost
    is known, one row goes alone.

    :param max_credits: None for no limit.
    :param prefix: the beginning of the ``replyRef`` of the run.
    """

    def __init__(self, max_credits: int | None, prefix: str) -> None:
        self._max = max_credits
        self._prefix = prefix
        self._costs: dict[str, int] = {}
        self._known = 0  # their sum
        self._unknown: set[str] = set()
        self.dearest: int | None = None
        """The dearest cost that was seen; None if none was."""

    def add(self, record: SubmitRecord) -> None:
        """Count a submit of the run, once and as far as it is paid for, or may be, by what is known now."""
        reference, cost = record.reference, record.cost_credits
        if prefix_of(reference) != self._prefix:
            return
        self._unknown.discard(reference)
        is_forgotten_job = record.state == "forgotten" and bool(record.job_ids)
        if not (record.state in _PAID_FOR or is_forgotten_job):
            self._known -= self._costs.pop(reference, 0)
        elif reference in self._costs:
            return
        elif cost is None:
            self._unknown.add(reference)
        else:
            self._costs[reference] = cost
            self._known += cost
            self.dearest = max(self.dearest or 0, cost)

    @property
    def spent(self) -> int:
        """Credits that the run has cost so far, as far as that is known."""
        return self._known + len(self._unknown) * (self.dearest or 0)

    def answer(self, in_flight: int) -> Answer:
        """
        Return whether one more row may be submitted.

        :param in_flight: how many are being submitted now.
        """
        if self._max is None:
            return _YES
        if self.dearest is None:
            return self._first(in_flight)
        if self.spent + (in_flight + 1) * self.dearest <= self._max:
            return _YES
        if in_flight:
            return _NOT_NOW
        return _never(
            f"max_credits={self._max} is reached: this run has cost {self.spent}, and the next row may cost "
            f"{self.dearest}",
        )

    def _first(self, in_flight: int) -> Answer:
        """Return whether a row may be submitted while no cost is known."""
        if len(self._unknown) >= _UNKNOWN_COSTS:
            return _never(
                f"it is not known what {len(self._unknown)} jobs of this run cost, so "
                f"max_credits={self._max} cannot be kept to. Trigger another run, or leave out max_credits"
            )
        if in_flight:
            return _NOT_NOW
        return _YES if self._max else _never("max_credits is 0")


class AccountFloor:
    """
    The credits that an account keeps (``min_credits``).

    :param min_credits: None for no floor.
    :param read: returns the credits of an account; None if unknown.
    :param clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        min_credits: int | None,
        read: Callable[[str | None], int | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._min = min_credits
        self._read = read
        self._clock = clock
        self._seen: dict[str, tuple[float, int | None]] = {}
        self._failures: Counter[str] = Counter()
        self._spent: Counter[str] = Counter()

    @property
    def is_set(self) -> bool:
        """Whether there is a floor."""
        return self._min is not None

    def add(self, email: str | None, cost: int | None) -> None:
        """Count what a job of an account costs. If that is unknown, its credits are read again."""
        if cost is None:
            self._seen.pop(email_key(email), None)
        else:
            self._spent[email_key(email)] += cost

    def answer(self, email: str | None, in_flight: int, expected: int | None) -> Answer:
        """
        Return whether one more row may be submitted to an account.

        :param in_flight: how many are being submitted to it now.
        :param expected: what each of them may cost; None if unknown.
        """
        if self._min is None:
            return _YES
        key, now = email_key(email), self._clock()
        read_at, credits_left = self._seen.get(key, (float("-inf"), None))
        # While a row is sent, what is read may have its cost already, or not.
        if now - read_at > _CREDITS_LAST and not in_flight:
            credits_left = self._read(email)
            self._seen[key] = now, credits_left
            self._spent[key] = 0
            self._failures[key] = 0 if credits_left is not None else self._failures[key] + 1
        if credits_left is None:
            return self._unknown(email)
        if expected is None and in_flight:
            return _NOT_NOW
        cost = (in_flight + 1) * (expected or 1)
        if keeps_enough(credits_left - self._spent[key], self._min, cost):
            return _YES
        if in_flight:
            return _NOT_NOW
        return _never(
            f"account {email or 'of the token'} would keep less than min_credits={self._min} credits"
        )

    def _unknown(self, email: str | None) -> Answer:
        if self._failures[email_key(email)] < _FAILED_READINGS:
            return _NOT_NOW
        why = f"the credits of {email or 'the account'} cannot be read, so min_credits cannot be kept to"
        return Answer(allows=False, stops=why, may_recover=True)
