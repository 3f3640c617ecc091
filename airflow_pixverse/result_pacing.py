"""ResultPacing: when the result of a job may be asked for."""

from __future__ import annotations

import math

# A job that is not listed is asked for at this interval in seconds: off-peak jobs take hours.
_UNLISTED = 60.0
# One that has been listed and is not any more is nearly done: its interval grows from the wait's own.
_MOST_DOUBLINGS = 12
_SHORTEST_INTERVAL = 0.1


class ResultPacing:
    """
    When the result of a job may be asked for: not more than once an interval.

    Times are in seconds of a monotonic clock.

    :param interval: seconds between two looks at the job.
    """

    def __init__(self, interval: float) -> None:
        self._interval = max(interval, _SHORTEST_INTERVAL)
        self._asked_at = self._not_before = -math.inf
        self._asked_in_vain = 0
        self._was_listed = False

    def record_listed(self) -> None:
        """Record that the job executes, so that its result is due once it does not any more."""
        self._was_listed = True
        self._asked_in_vain = 0

    def record_asked(self, now: float, pause: float = 0.0) -> None:
        """
        Record that its result has been asked for, and is not there.

        :param pause: for how many seconds at least it is not to be asked for again.
        """
        self._asked_at, self._not_before = now, now + pause
        self._asked_in_vain += 1

    def patience(self, now: float) -> float:
        """Return for how many seconds its result is not to be asked for; 0 if it may be asked for now."""
        return max(0.0, self._asked_at + self._pause - now, self._not_before - now)

    @property
    def _pause(self) -> float:
        if not self._was_listed:
            return max(self._interval, _UNLISTED)
        doublings = min(max(0, self._asked_in_vain - 1), _MOST_DOUBLINGS)
        return max(self._interval, min(self._interval * (1 << doublings), _UNLISTED))
