"""Pacing: when a gate polls next, and how long what it has found counts."""

from __future__ import annotations

import math
from collections.abc import Callable

_SHORTEST_INTERVAL = 0.1
# Only ever longer, so that there is never more than one poll an interval.
_JITTER = 0.1
_LONGEST_BACKOFF = 300.0
_MOST_DOUBLINGS = 12  # enough to get from the shortest interval to the longest backoff
# A newcomer passes on a snapshot younger than this many seconds. Otherwise there is a poll soon, which all
# who have come in the meantime share.
_FRESH = 5.0
_NEWCOMERS_INTERVAL = 10.0
# While leases are open, a poll shows which jobs have begun. The interval has to be shorter, jitter included,
# than a short job takes: a job that nobody has seen ends no lease.
_LEASES_INTERVAL = 10.0
# A fatal error is believed when a second look after this many seconds meets one, too.
SECOND_LOOK = 5.0
# A second look that does not get through is repeated. This limit leaves room for slow calls.
_SUSPICION = 300.0
# A believed fatal error ended all waits. Those who come up to this many seconds later are told the same
# without a call.
_FATAL_MEMORY = 10.0
# A wait that comes to a new gate after this many seconds was interrupted, probably by a restart, and others
# with it. They get time to come back before anyone is admitted, so that they keep their order.
_INTERRUPTED_AFTER = 10.0
_GATHERING = 2.5
_LONGEST_GATHERING = 30.0


class Pacing:
    """
    When the last poll was, how it went, and so when the next one may be, in seconds of a monotonic clock.

    :param jitter: returns a number from 0 to 1, anew for each poll.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.polled_at = -math.inf
        self._random = jitter
        self._jitter = 1.0
        self._failures = 0
        self._not_before = -math.inf
        self._suspicious_until = -math.inf
        self._told_until = -math.inf
        self._gathering_since = math.inf
        # From when on anyone may be admitted, since interrupted waits have had time to come back.
        self.gathered_at = -math.inf

    def next_poll(self, interval: float, *, newcomers: bool = False, leases: bool = False) -> float:
        """
        Return when to poll next.

        :param interval: the shortest interval asked for.
        :param newcomers: whether there is anyone for whom no snapshot counts yet.
        :param leases: whether leases are open that somebody waits to see the end of.
        """
        if newcomers:
            interval = min(interval, _NEWCOMERS_INTERVAL)
        if leases:
            interval = min(interval, _LEASES_INTERVAL)
        if self.polled_at < self._suspicious_until:
            interval = SECOND_LOOK
        interval = max(interval, _SHORTEST_INTERVAL)
        if self._failures:
            backoff = interval * 2 ** min(self._failures - 1, _MOST_DOUBLINGS)
            interval = max(interval, min(backoff, _LONGEST_BACKOFF))
        return max(self.polled_at + interval * self._jitter, self._not_before, self.gathered_at)

    def is_fresh(self, now: float) -> bool:
        """Return whether what the last poll found is young enough to count for newcomers."""
        return now - self.polled_at < _FRESH

    def is_soon(self, at: float, now: float) -> bool:
        """Return whether a poll at this time is soon enough for newcomers to wait for what it finds."""
        return at - now <= _NEWCOMERS_INTERVAL

    def is_gathering(self, now: float) -> bool:
        """Return whether interrupted waits are still coming back."""
        return now < self.gathered_at

    def tells_newcomers(self, now: float) -> bool:
        """Return whether the fatal error that has ended all waits also counts for those who come now."""
        return now < self._told_until

    def record_success(self, now: float) -> None:
        """Record a poll that gave a snapshot: go on at the usual pace."""
        self._record_poll(now)
        self._failures = 0
        self._suspicious_until = -math.inf

    def record_failure(self, now: float, retry_after: float = 0.0) -> None:
        """
        Record a poll that failed for the time being: slow down.

        It says nothing about a fatal error met before, so the second look at that is still to come.

        :param retry_after: for how many seconds the server asks not to be asked.
        """
        self._record_poll(now)
        self._failures += 1
        self._not_before = now + retry_after

    def record_fatal(self, now: float) -> bool:
        """
        Record a poll that met a fatal error, and return whether to believe it.

        It is believed the second time. A single one may be a passing trouble, which must not end a thousand
        waits: a secrets backend that says "not found" while it restarts, or one refused token.
        """
        self._record_poll(now)
        self._failures = 0
        is_believed = now < self._suspicious_until
        if is_believed:
            self._suspicious_until = -math.inf
            self._told_until = self._not_before = now + _FATAL_MEMORY
        else:
            self._suspicious_until = now + _SUSPICION
        return is_believed

    def record_nothing_to_fetch(self, now: float) -> None:
        """Record that nobody was left to poll for; who has come in the meantime need not wait for long."""
        self._not_before = max(self._not_before, now + _SHORTEST_INTERVAL)

    def record_arrival(self, now: float, waited: float) -> None:
        """
        Record that a wait comes to the gate.

        :param waited: for how many seconds it has waited elsewhere.
        """
        if waited < _INTERRUPTED_AFTER or self.polled_at > -math.inf:
            return
        self._gathering_since = min(self._gathering_since, now)
        self.gathered_at = min(now + _GATHERING, self._gathering_since + _LONGEST_GATHERING)

    def _record_poll(self, now: float) -> None:
        self.polled_at = now
        self._jitter = 1 + self._random() * _JITTER
