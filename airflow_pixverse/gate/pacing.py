"""Pacing: the time of the next poll, and for how long the outcome of the last one counts."""

import math
from collections.abc import Callable

from airflow_pixverse.backoff import backoff
from airflow_pixverse.gate.suspicion import Suspicion

_SHORTEST_INTERVAL = 0.1  # seconds
# Only ever longer, so that there is never more than one poll an interval.
_JITTER = 0.1  # of an interval
_LONGEST_BACKOFF = 300.0  # seconds
# A newcomer passes on a snapshot younger than this many seconds. Otherwise there is a poll soon, which all
# newcomers share.
_FRESH = 5.0
_NEWCOMERS_INTERVAL = 10.0  # seconds
# While leases are open, a poll shows which jobs have begun. The interval has to be shorter, jitter included,
# than a short job takes: a job that no poll has seen ends no lease.
_LEASES_INTERVAL = 10.0  # seconds
# While a job is about to end that is tracked, or whose slot a wait may get, that is noticed soon.
_NEAR_INTERVAL = 2.0
# A believed fatal error ended all waits. Newcomers of this many seconds get the same error without a call.
_FATAL_MEMORY = 10.0
# After that, trackers cause a poll at this interval until one succeeds: a person has to fix the reason.
_REFUSED_INTERVAL = 300.0  # seconds
# A wait that comes to a new gate after this many seconds was interrupted, probably by a restart, and others
# with it. They get time to come back before the gate admits a wait, so that they keep their order.
_INTERRUPTED_AFTER = 10.0
_GATHERING = 2.5  # seconds
_LONGEST_GATHERING = 30.0  # seconds


class Pacing:
    """
    The time and the outcome of the last poll, and so the time of the next, in seconds of a monotonic clock.

    :param jitter: returns a number from 0 to 1, another for each poll.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.polled_at = -math.inf
        self._random = jitter
        self._jitter = 1.0
        self._failures = 0
        self._has_snapshot = False
        self._not_before = -math.inf
        self._suspicion = Suspicion()
        self._fatal_until = -math.inf
        self._is_refused = False
        self._gathering_since = math.inf
        # From then on waits may be admitted, since interrupted ones have had time to come back.
        self.gathered_at = -math.inf

    def next_poll(
        self, interval: float, *, newcomers: bool = False, leases: bool = False, needed_at: float = math.inf
    ) -> float:
        """
        Return when to poll next.

        :param interval: the shortest interval asked for.
        :param newcomers: whether there are any, for whom no snapshot counts yet.
        :param leases: whether leases are open while a wait is queued.
        :param needed_at: when a job is about to end; infinity if none is. It repeats no poll that has failed.
        """
        if newcomers:
            interval = min(interval, _NEWCOMERS_INTERVAL)
        if leases:
            interval = min(interval, _LEASES_INTERVAL)
        if self._is_refused and not newcomers:
            interval = max(interval, _REFUSED_INTERVAL)
        else:
            interval = self._suspicion.interval(interval, self.polled_at)
        interval = max(interval, _SHORTEST_INTERVAL)
        if self._failures:
            longest = max(interval, _LONGEST_BACKOFF)
            interval = backoff(self._failures, first=interval, longest=longest)
        at = self.polled_at + interval * self._jitter
        if self._has_snapshot:
            at = min(at, max(needed_at, self.polled_at + _NEAR_INTERVAL))
        return max(at, self._not_before, self.gathered_at)

    def is_fresh(self, now: float) -> bool:
        """Return whether the outcome of the last poll is young enough to count for newcomers."""
        return now - self.polled_at < _FRESH

    def is_soon(self, at: float, now: float) -> bool:
        """Return whether a poll at this time is soon enough for newcomers to wait for its outcome."""
        return at - now <= _NEWCOMERS_INTERVAL

    def is_gathering(self, now: float) -> bool:
        """Return whether interrupted waits are still coming back."""
        return now < self.gathered_at

    def is_fatal_for_newcomers(self, now: float) -> bool:
        """Return whether the fatal error that has ended all waits also ends those that come now."""
        return now < self._fatal_until

    def record_success(self, now: float) -> None:
        """Record a poll that gave a snapshot: go on at the usual pace."""
        self._record_poll(now)
        self._failures = 0
        self._has_snapshot = True
        self._is_refused = False
        self._suspicion.clear()

    def record_failure(self, now: float, retry_after: float = 0.0) -> None:
        """
        Record a poll that failed for the time being: slow down.

        It says nothing about an earlier fatal error, so the second look at that is still due.

        :param retry_after: for how many seconds the server asks not to be asked.
        """
        self._record_poll(now)
        self._failures += 1
        self._not_before = now + retry_after

    def record_fatal(self, now: float) -> bool:
        """Record a poll that met a fatal error, and return whether to believe it, which ends all waits."""
        self._record_poll(now)
        self._failures = 0
        if not self._suspicion.confirms(now):
            return False
        self._is_refused = True
        self._fatal_until = self._not_before = now + _FATAL_MEMORY
        return True

    def record_nothing_to_fetch(self, now: float) -> None:
        """Record that all waits had moved away; one that has come in the meantime gets a poll soon."""
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
        self._has_snapshot = False
        self._jitter = 1 + self._random() * _JITTER
