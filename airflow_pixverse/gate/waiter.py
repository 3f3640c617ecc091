"""What somebody waits for, and a place in the queue."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_pixverse.api.models import AccountCapacity
    from airflow_pixverse.gate.leases import Lease


@dataclass(frozen=True)
class WaitRequest:
    """
    What somebody waits for.

    :param slots: free slots needed, over the chosen accounts together.
    :param emails: keys of the chosen accounts (``api.models.email_keys``); None for all.
    :param poke_interval: seconds between two looks.
    :param exponential_backoff: let the interval grow with the time waited.
    :param max_wait: longest interval in seconds.
    :param waiting_since: when the wait began, in seconds since the epoch; who waits longest is first.
    :param lease: seconds for which the slots are kept from others unless the job shows up earlier; 0 for not
        at all, None for ``max(120, 2 * poke_interval)``.
    """

    slots: int = 1
    emails: frozenset[str] | None = None
    poke_interval: float = 60.0
    exponential_backoff: bool = False
    max_wait: float = math.inf
    waiting_since: float = 0.0
    lease: float | None = None

    @property
    def lease_seconds(self) -> float:
        """For how long the slots are leased."""
        return max(120.0, 2 * self.poke_interval) if self.lease is None else self.lease

    def interval(self, last_look: float) -> float:
        """Return the seconds from the last look (in seconds since the epoch) to the next."""
        interval = self.poke_interval
        if self.exponential_backoff:
            # Each interval is as long as all before it together: 1, 2, 4, ...
            interval = min(interval + max(0.0, last_look - self.waiting_since), self.max_wait)
        return interval


@dataclass(eq=False, slots=True)
class Waiter:
    """
    A place in the queue of a gate.

    :param number: in which order the waiters came to the gate.
    :param admitted: the accounts that have room, once it is its turn, or the error that ends all waits.
    :param looked_at: done at the first decision about this waiter, whichever it is.
    :param lease: what is kept for it until it has collected its accounts.
    """

    request: WaitRequest
    number: int
    admitted: asyncio.Future[list[AccountCapacity]]
    looked_at: asyncio.Future[None]
    lease: Lease | None = None

    def __lt__(self, other: Waiter) -> bool:
        """Tell whether it is this one's turn first."""
        return (self.request.waiting_since, self.number) < (other.request.waiting_since, other.number)

    def collect(self) -> list[AccountCapacity]:
        """Return the accounts, or raise the error that ended all waits; the lease outlives the waiter now."""
        accounts = self.admitted.result()
        self.lease = None
        return accounts
