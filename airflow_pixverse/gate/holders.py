"""Holders: the task instances that wait for slots, so that a retry keeps the turn of its earlier try."""

from dataclasses import dataclass
from typing import Self

# A turn is forgotten if its holder has not waited for this many seconds.
_MEMORY = 3600.0
_MOST_REMEMBERED = 10_000


@dataclass
class _Turn:
    """
    The turn of a holder.

    :param since: when its first wait began, in seconds since the epoch.
    :param seen_at: when it joined or left, by the gate's clock.
    :param reference: of the job that it has been given a slot for; empty for none.
    """

    since: float
    seen_at: float
    is_waiting: bool = True
    reference: str = ""


class Holders:
    """
    The turns of task instances whose jobs the service has not accepted yet, as far as the gate knows.

    A holder is the key of a task instance, the same in each of its tries; empty if unknown.
    """

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}  # seen longest ago first
        self._by_reference: dict[str, str] = {}

    def join(self, holder: str, waiting_since: float, now: float) -> tuple[float, bool]:
        """
        Record that a holder waits.

        :param waiting_since: when this wait began, in seconds since the epoch.
        :param now: by the gate's clock.
        :return: since when it waits, its earlier tries included, and whether it has been given a slot that
            no job of it has taken.
        """
        if not holder:
            return waiting_since, False
        former = self._turns.pop(holder, None) or _Turn(waiting_since, now)
        self._by_reference.pop(former.reference, None)
        self._turns[holder] = _Turn(min(former.since, waiting_since), now)
        return self._turns[holder].since, bool(former.reference)

    def record_grant(self, holder: str, reference: str) -> None:
        """Record the reference of the job that a holder is about to submit."""
        if turn := self._turns.get(holder):
            turn.reference = reference
            self._by_reference[reference] = holder

    def record_leave(self, holder: str, now: float) -> None:
        """Record that a holder waits no longer, admitted or not."""
        if turn := self._turns.pop(holder, None):
            turn.seen_at, turn.is_waiting = now, False
            self._turns[holder] = turn

    def forget_job(self, reference: str) -> None:
        """Forget the turn of the holder whose job the service has: the next wait of its task is a new one."""
        if holder := self._by_reference.pop(reference, None):
            self._turns.pop(holder, None)

    def forget_old(self, now: float) -> None:
        """Forget the turns whose holders have left long ago, and those that are too many."""
        old = [holder for holder, turn in self._turns.items() if not turn.is_waiting]
        kept = {holder for holder in old[-_MOST_REMEMBERED:] if self._turns[holder].seen_at > now - _MEMORY}
        for holder in old:
            if holder not in kept:
                self._by_reference.pop(self._turns.pop(holder).reference, None)

    def adopt(self, other: Self) -> None:
        """Remember the turns that another gate knows, too, as those of holders that do not wait here."""
        for holder, turn in other._turns.items():
            if mine := self._turns.get(holder):
                mine.since = min(mine.since, turn.since)
                continue
            self._turns[holder] = _Turn(turn.since, turn.seen_at, is_waiting=False)
            self.record_grant(holder, turn.reference)
