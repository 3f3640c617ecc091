"""Queue: all who wait at a gate, oldest first."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_pixverse.gate.waiter import Waiter

_turn = attrgetter("turn")


class Queue:
    """
    All who wait at a gate, oldest first, and in one line for each distinct request besides.

    Those in a line ask for the same slots of the same accounts. When the first of them is refused, so are all
    behind it; that is why a decision only looks at the heads of the lines. Joining and leaving take
    logarithmic time, apart from moving the rest of a list in memory, which is negligible for 100 000 waiters.
    """

    def __init__(self) -> None:
        self._waiters: list[Waiter] = []
        self._lines: dict[tuple[int, frozenset[str] | None], list[Waiter]] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(self._waiters)

    @property
    def lines(self) -> list[list[Waiter]]:
        """The lines, in no order; none is empty."""
        return list(self._lines.values())

    def add(self, waiter: Waiter) -> None:
        """Add a waiter where its turn is."""
        insort(self._waiters, waiter, key=_turn)
        insort(self._lines.setdefault(waiter.request.line, []), waiter, key=_turn)

    def remove(self, waiter: Waiter) -> None:
        """Remove a waiter, if it is in the queue."""
        place = self._index(waiter)
        if self._waiters[place : place + 1] != [waiter]:
            return
        del self._waiters[place]
        line = self._lines[waiter.request.line]
        del line[bisect_left(line, waiter.turn, key=_turn)]
        if not line:
            del self._lines[waiter.request.line]

    def place(self, waiter: Waiter) -> int:
        """Return the waiter's place in the queue, 1 for the first."""
        return self._index(waiter) + 1

    def _index(self, waiter: Waiter) -> int:
        return bisect_left(self._waiters, waiter.turn, key=_turn)
