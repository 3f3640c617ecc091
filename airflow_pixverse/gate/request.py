"""WaitRequest: what a wait asks of a gate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeGuard

_SHORTEST_DEFAULT_LEASE = 120.0


@dataclass(frozen=True)
class WaitRequest:
    """
    What a wait asks of a gate.

    :param slots: free slots needed, over the chosen accounts together.
    :param emails: keys of the chosen accounts (``api.models.email_keys``); None for all.
    :param poke_interval: seconds between two looks.
    :param exponential_backoff: let the interval grow with the time waited.
    :param max_wait: longest interval in seconds.
    :param waiting_since: when the wait began, in seconds since the epoch; the oldest wait is first.
    :param lease: seconds for which the slots are kept from others unless the job shows up earlier; 0 for not
        at all, None for ``max(120, 2 * poke_interval)``.
    :param connection: id of the connection that the wait came with.
    :param reference: the random part of the ``replyRef`` of the job that the slots are for; empty where it is
        not known. The job is to land on the first of the accounts that the wait is given, if ``emails``
        chooses any.
    :raises ValueError: a field cannot be used; the message names it. One bad request must not get as far as
        the gate, which all waits share.
    """

    slots: int = 1
    emails: frozenset[str] | None = None
    poke_interval: float = 60.0
    exponential_backoff: bool = False
    max_wait: float = math.inf
    waiting_since: float = 0.0
    lease: float | None = None
    connection: str = ""
    reference: str = ""

    def __post_init__(self) -> None:
        is_count = isinstance(self.slots, int) and not isinstance(self.slots, bool)
        _check("slots", self.slots, is_count and self.slots >= 1)
        is_set = isinstance(self.emails, frozenset) and all(isinstance(key, str) for key in self.emails)
        _check("emails", self.emails, self.emails is None or is_set)
        _check("poke_interval", self.poke_interval, is_finite(self.poke_interval) and self.poke_interval >= 0)
        _check("exponential_backoff", self.exponential_backoff, isinstance(self.exponential_backoff, bool))
        is_limit = self.max_wait == math.inf or is_finite(self.max_wait)
        _check("max_wait", self.max_wait, is_limit and self.max_wait >= 0)
        _check("waiting_since", self.waiting_since, is_finite(self.waiting_since))
        is_lease = self.lease is None or (is_finite(self.lease) and self.lease >= 0)
        _check("lease", self.lease, is_lease)
        _check("connection", self.connection, isinstance(self.connection, str))
        _check("reference", self.reference, isinstance(self.reference, str))

    @property
    def line(self) -> tuple[int, frozenset[str] | None]:
        """What all waits in one line of the queue ask for: slots, and the accounts that may have them."""
        return self.slots, self.emails

    @property
    def lease_seconds(self) -> float:
        """For how long the slots are leased."""
        return max(_SHORTEST_DEFAULT_LEASE, 2 * self.poke_interval) if self.lease is None else self.lease

    def interval(self, waited: float) -> float:
        """
        Return the seconds from the last look to the next.

        :param waited: how long the wait had lasted at the last look, in seconds.
        """
        if not self.exponential_backoff:
            return self.poke_interval
        # Intervals of 1, 2, 4, ... times poke_interval: each is longer by one poke_interval than all before
        # it together, which is the time waited.
        return min(self.poke_interval + waited, self.max_wait)


def _check(field: str, value: object, usable: bool) -> None:
    if not usable:
        raise ValueError(f"{field} of a wait cannot be {value!r:.100}")


def is_finite(value: object) -> TypeGuard[float]:
    """Return whether this is a number that can be calculated with."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond what a float can hold
        return False
