"""Waiter: a place in the queue of a gate."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_pixverse.api.models import AccountCapacity
    from airflow_pixverse.gate.leases import Lease
    from airflow_pixverse.gate.request import WaitRequest


@dataclass(eq=False, slots=True)
class Waiter:
    """
    A place in the queue of a gate.

    :param turn: when the wait began, and in which order the waiters came to the gate; the lowest is first.
    :param joined_at: when it came to the gate, by the gate's monotonic clock.
    :param waited_before: for how many seconds it had waited by then.
    :param admitted: the accounts that have room, once it is its turn, or the error that ended the wait.
    :param looked_at: done at the first decision about this waiter, whichever it is.
    :param lease: what is kept for it until it has collected its accounts.
    :param admitted_at: when it was admitted, in seconds since the epoch.
    """

    request: WaitRequest
    turn: tuple[float, int]
    joined_at: float
    waited_before: float
    admitted: asyncio.Future[list[AccountCapacity]]
    looked_at: asyncio.Future[None]
    lease: Lease | None = None
    admitted_at: float = math.nan

    def interval(self, last_look: float) -> float:
        """Return the seconds from the last look, which is given by the gate's clock, to the next."""
        return self.request.interval(max(0.0, self.waited_before + last_look - self.joined_at))

    def collect(self) -> list[AccountCapacity]:
        """Return the accounts, or raise the error that ended the wait; the lease outlives the waiter now."""
        accounts = self.admitted.result()
        self.lease = None
        return accounts

    def mark_looked_at(self) -> None:
        """Let its owner know that a decision about it has been made."""
        if not self.looked_at.done():
            self.looked_at.set_result(None)

    def end(self, outcome: list[AccountCapacity] | Exception) -> bool:
        """End the wait, and return whether its owner still waited for that."""
        self.mark_looked_at()
        if self.admitted.done():
            return False
        if isinstance(outcome, Exception):
            self.admitted.set_exception(outcome)
        else:
            self.admitted.set_result(outcome)
        return True
