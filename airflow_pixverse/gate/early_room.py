"""EarlyRoom: how many waits may look for a slot at once that they were let through early for."""

from collections import Counter
from typing import Self


class EarlyRoom:
    """
    The early admissions of each account: one for each slot, and fewer where other users take the slots.

    A worker that looks for a slot in vain is busy for a minute, so each that loses its slot lets one fewer
    pass at a time, and each that gets one lets one more.
    """

    def __init__(self) -> None:
        self._lost: Counter[str] = Counter()

    def record_lost(self, email: str, total: int) -> None:
        """
        Record that another user has taken a slot.

        :param total: the number of slots of the account.
        """
        self._lost[email] = min(self._lost[email] + 1, total - 1)

    def record_got(self, email: str) -> None:
        """Record that a wait has got its slot."""
        self._lost[email] = max(self._lost[email] - 1, 0)

    def at_once(self, email: str, total: int) -> int:
        """Return how many waits may look at once."""
        return max(1, total - self._lost[email])

    def adopt(self, other: Self) -> None:
        """Take over what another gate of the same accounts knows, if that is more doubtful."""
        self._lost |= other._lost
