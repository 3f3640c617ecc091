"""Pacing: when a gate polls next."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_pixverse.api.errors import PixverseTransientError

_SHORTEST_INTERVAL = 0.1
# Only ever longer, so that there is never more than one poll an interval.
_JITTER = 0.1
_LONGEST_BACKOFF = 300.0
# A fatal error ended all waits. Who comes up to so many seconds later is told the same without a call.
_FATAL_MEMORY = 10.0
# Who comes to a new gate so long after it began to wait was interrupted, and probably others with it. They
# are given time to come back before anyone is admitted, so that they keep their order.
_INTERRUPTED_AFTER = 10.0
_GATHERING = 2.5
_LONGEST_GATHERING = 30.0


class Pacing:
    """When the last poll was, how it went, and so when the next one may be, in seconds of a clock."""

    def __init__(self) -> None:
        self._polled_at = -math.inf
        self._jitter = 1.0
        self._failures = 0
        self._not_before = -math.inf
        self._longest = math.inf
        self._gathering_since = math.inf
        self._gathered_at = -math.inf

    def next_poll(self, interval: float) -> float:
        """Return when to poll next, if this is the shortest interval asked for."""
        interval = max(interval, _SHORTEST_INTERVAL)
        backoff = interval * 2 ** min(self._failures - 1, 10) if self._failures else interval
        interval = min(max(interval, min(backoff, _LONGEST_BACKOFF)), self._longest)
        return max(self._polled_at + interval * self._jitter, self._not_before, self._gathered_at)

    def is_gathering(self, now: float) -> bool:
        """Tell whether interrupted waits are still coming back."""
        return now < self._gathered_at

    def polled(self, now: float) -> None:
        """Take note of a poll."""
        self._polled_at = now
        self._jitter = 1 + random.random() * _JITTER  # noqa: S311

    def poll_succeeded(self) -> None:
        """Go on at the usual pace."""
        self._failures = 0
        self._longest = math.inf

    def poll_failed(self, now: float, error: PixverseTransientError) -> None:
        """Slow down, and ask for as long as the server wants not to be asked."""
        self._failures += 1
        self._not_before = now + (error.retry_after or 0.0)
        self._longest = math.inf

    def poll_was_fatal(self) -> None:
        """Ask again soon if somebody comes: the cause may have been mended."""
        self._failures = 0
        self._longest = _FATAL_MEMORY

    def joined(self, now: float, waited: float) -> None:
        """Take note of somebody who comes to the gate, having waited for so many seconds before."""
        if waited < _INTERRUPTED_AFTER or self._polled_at > -math.inf:
            return
        self._gathering_since = min(self._gathering_since, now)
        self._gathered_at = min(now + _GATHERING, self._gathering_since + _LONGEST_GATHERING)
