"""Handovers: how long workers take from a lease to the job, learned from the last ones."""

from collections import deque
from statistics import median
from typing import Self

# The last so many leases tell how long a worker takes.
_REMEMBERED = 15
LONGEST_HANDOVER = 45.0
"""The next in line is let through at most this many seconds before a slot is expected."""
# A worker that is there this many seconds too early looks once more; one that is late leaves a slot idle.
_MARGIN = 2.0
_MOST_UNTOLD = 1000


class Handovers:
    """
    The seconds from a lease to its job, without those for which the worker has looked for its slot.

    Only the worker knows for how long it has looked. It tells that after the job is listed, or never.
    """

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        # From early leases to their jobs, by reference, until the workers tell; oldest first.
        self._untold: dict[str, float] = {}

    @property
    def expected(self) -> float | None:
        """Seconds that the next handover may take: the median and a margin; None if unknown."""
        return min(median(self._seconds) + _MARGIN, LONGEST_HANDOVER) if self._seconds else None

    def record(self, seconds: float) -> None:
        """Record how long it took from a lease to its job."""
        self._seconds.append(seconds)

    def record_early(self, reference: str, seconds: float) -> None:
        """Record how long it took from an early lease to its job, which counts once its worker tells more."""
        self._untold[reference] = seconds
        if len(self._untold) > _MOST_UNTOLD:
            del self._untold[next(iter(self._untold))]

    def record_looks(self, reference: str, looked: float | None) -> None:
        """
        Record for how long the worker of an early lease has looked for its slot.

        :param looked: in seconds; None if an earlier version has told nothing of it.
        """
        seconds = self._untold.pop(reference, None)
        if seconds is not None and looked is not None:
            self.record(max(0.0, seconds - looked))

    def adopt(self, other: Self) -> None:
        """Take over what another gate has learned, if nothing is known here."""
        if not self._seconds:
            self._seconds.extend(other._seconds)
        self._untold = other._untold | self._untold
