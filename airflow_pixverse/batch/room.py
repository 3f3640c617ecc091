"""Room: the slots that a batch may take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_pixverse.api.scheduler import email_key

if TYPE_CHECKING:
    from airflow_pixverse.api.scheduler import Capacity


@dataclass(frozen=True, kw_only=True)
class Limits:
    """
    The limits of a batch.

    :param emails: the accounts that count; None for all accounts.
    :param max_slots: slots that it takes at most; None for all.
    :param keep_free: slots that it leaves to others.
    :param max_refusals: refusals (429) in a row that are waited out.
    """

    emails: Sequence[str] | None = None
    max_slots: int | None = None
    keep_free: int = 0
    max_refusals: int = 10

    def free(self, capacity: Capacity, taken: Iterable[str], barred: Container[str]) -> Counter[str]:
        """
        Return the free slots of each account that may be used.

        :param capacity: a snapshot.
        :param taken: the accounts of jobs that the snapshot does not have yet; empty where unknown.
        :param barred: keys of the accounts that take no more jobs.
        """
        free: Counter[str] = Counter()
        for account in capacity.chosen(self.emails):
            free[account.email or ""] += account.available
        for email in taken:
            # Of a job whose account is unknown, the service has probably chosen the one with most room.
            free[email or max(free, key=free.__getitem__, default="")] -= 1
        return Counter({email: n for email, n in free.items() if n > 0 and email_key(email) not in barred})
