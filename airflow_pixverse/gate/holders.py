"""Holders: the task instances that wait for slots, so that a retry keeps the turn of its earlier try."""

from dataclasses import dataclass
from typing import Self

# A turn is forgotten if its holder has not waited for this many seconds.
_MEMORY = 3600.0
_MOST_REMEMBERED = 10_000


@dataclass
class _Turn:
    since: float
    left_at: float
    reference: str = ""


class Holders:
    """
    The turns of task instances whose jobs the service has not accepted yet, as far as the gate knows.

    A holder is the key of a task instance, the same in each of its tries; empty if unknown.
    """

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}  # left longest ago first

    def since(self, holder: str, waiting_since: float, now: float) -> float:
        """
        Return since when a holder waits, its earlier tries included, and remember it.

        :param waiting_since: when the wait of this try began, in seconds since the epoch.
        :param now: by the gate's clock.
        """
        if not holder:
            return waiting_since
        turn = self._turns.pop(holder, None) or _Turn(waiting_since, now)
        turn.since, turn.left_at = min(turn.since, waiting_since), now
        self._turns[holder] = turn
        return turn.since

    def record_grant(self, holder: str, reference: str) -> None:
        """Record the reference of the job that a holder is about to submit."""
        if turn := self._turns.get(holder):
            turn.reference = reference

    def record_leave(self, holder: str, now: float) -> None:
        """Record that a holder waits no longer, admitted or not."""
        if turn := self._turns.pop(holder, None):
            turn.left_at = now
            self._turns[holder] = turn

    def forget_job(self, reference: str) -> None:
        """Forget the turn of the holder whose job the service has: the next wait of its task is a new one."""
        for holder in [one for one, turn in self._turns.items() if reference and turn.reference == reference]:
            del self._turns[holder]

    def forget_old(self, now: float) -> None:
        """Forget the turns whose holders have left long ago, and those that are too many."""
        recent = [(one, turn) for one, turn in self._turns.items() if turn.left_at > now - _MEMORY]
        self._turns = dict(recent[-_MOST_REMEMBERED:])

    def adopt(self, other: Self) -> None:
        """Remember the turns that another gate knows, too."""
        for holder, turn in other._turns.items():
            mine = self._turns.setdefault(holder, _Turn(turn.since, turn.left_at, turn.reference))
            mine.since = min(mine.since, turn.since)
