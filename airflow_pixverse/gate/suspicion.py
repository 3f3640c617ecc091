"""Suspicion: a fatal error that a wait for slots has met, and does not believe yet."""

import math

SECOND_LOOK = 60.0
"""A fatal error is believed if a look this many seconds after the first, or later, meets one too."""
# More looks than that in a minute are not made for its sake.
_LOOKS_A_MINUTE = 6
# If no look gets through for this many seconds after that, the first error counts for nothing any more.
_FORGOTTEN_AFTER = 300.0


class Suspicion:
    """
    A fatal error, which is believed once it has lasted for a minute.

    A single one may be passing trouble: a secrets backend that says "not found" while it restarts, or a token
    that is just being replaced.

    Times are in seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self._since = -math.inf

    def confirms(self, now: float) -> bool:
        """Record a look that met a fatal error, and return whether to believe it."""
        if not self._is_open(now):
            self._since = now
        is_believed = now - self._since >= SECOND_LOOK
        if is_believed:
            self.clear()
        return is_believed

    def clear(self) -> None:
        """Record a look that met none."""
        self._since = -math.inf

    def interval(self, interval: float, looked_at: float) -> float:
        """
        Return the seconds from a look to the next, which may confirm an error that the look met.

        :param interval: the seconds between two looks otherwise.
        :param looked_at: when the look was.
        """
        if not self._is_open(looked_at):
            return interval
        due = self._since + SECOND_LOOK - looked_at
        # Not right after a look: then the error has lasted for a little more than a minute.
        return min(interval, max(due, SECOND_LOOK / _LOOKS_A_MINUTE) if due > 0 else SECOND_LOOK)

    def _is_open(self, now: float) -> bool:
        return now < self._since + SECOND_LOOK + _FORGOTTEN_AFTER
