"""Turns: the order in which waits are served, by priority, and among equal priorities by DAG in turn."""

import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import NamedTuple, TypeVar

_Wait = TypeVar("_Wait")
_Lines = defaultdict[str, list[tuple["Turn", _Wait]]]

SECONDS_A_STEP = 3600.0
"""A wait gains one step of priority in this many seconds, so that none starves."""


class Turn(NamedTuple):
    """
    The properties of a wait that its place depends on.

    :param since: when the wait began, in seconds since the epoch.
    :param number: decides among waits that began at the same time; no two have the same.
    :param priority: the higher, the earlier.
    :param dag_id: the DAG, which shares with the other DAGs of its priority; empty if unknown.
    :param slots: slots that it asks for, its cost in a fair share.
    """

    since: float
    number: int
    priority: int = 1
    dag_id: str = ""
    slots: int = 1


class Turns:
    """
    The order of waits, and the shares that DAGs have had.

    Among equal priorities this is start-time fair queueing (Goyal, Vin, Cheng 1996). Each wait has a tag: the
    slots that its DAG has had, plus those that the waits of its DAG before it ask for. The lowest tag is
    first, then the oldest wait. A DAG that was away gets no credit: its tags begin at the tag that was
    served last. One DAG alone is served first come, first served.

    Among priorities, a step is worth a head start of :data:`SECONDS_A_STEP`, for the oldest wait of each.
    """

    def __init__(self) -> None:
        # Of each priority, the tag that was served last; of each of its DAGs, the tag of its next wait.
        self._served: defaultdict[int, int] = defaultdict(int)
        self._next: defaultdict[int, dict[str, int]] = defaultdict(dict)

    def record_served(self, turn: Turn) -> None:
        """Record that a wait has got its slots."""
        tag = self._next[turn.priority].get(turn.dag_id, self._served[turn.priority])
        self._served[turn.priority] = max(self._served[turn.priority], tag)
        self._next[turn.priority][turn.dag_id] = tag + turn.slots

    def record_unused(self, turn: Turn) -> None:
        """Record that a wait has got slots and will not use them: its DAG gets its turn back."""
        line = self._next[turn.priority]
        if turn.dag_id in line:
            line[turn.dag_id] -= turn.slots

    def in_order(self, waits: Iterable[_Wait], turn_of: Callable[[_Wait], Turn]) -> list[_Wait]:
        """
        Return the waits in the order in which they are served.

        Shares end where no wait of a priority is left: those that come later begin with equal ones.
        """
        lines: defaultdict[int, _Lines[_Wait]] = defaultdict(lambda: defaultdict(list))
        for wait in waits:
            turn = turn_of(wait)
            lines[turn.priority][turn.dag_id].append((turn, wait))
        for priority in self._served.keys() - lines.keys():
            del self._served[priority], self._next[priority]
        ranked = [self._fair(priority, dags) for priority, dags in lines.items()]
        if len(ranked) == 1:
            return [wait for _, wait in ranked[0]]
        return [wait for _, wait in heapq.merge(*map(_with_urgency, ranked), key=itemgetter(0))]

    def _first_tags(self, priority: int, dags: Iterable[str]) -> dict[str, int]:
        """Return the tag of the next wait of each DAG, which stays the same while it has waits."""
        served, waiting = self._served[priority], set(dags)
        former = self._next[priority]
        ahead = {dag: tag for dag, tag in former.items() if dag in waiting or tag > served}
        self._next[priority] = dict.fromkeys(waiting, served) | ahead
        return self._next[priority]

    def _fair(self, priority: int, dags: _Lines[_Wait]) -> list[tuple[Turn, _Wait]]:
        """Return the waits of a priority in order."""
        first_tags = self._first_tags(priority, dags)
        for line in dags.values():
            line.sort(key=itemgetter(0))
        if len(dags) == 1:
            return next(iter(dags.values()))
        tagged = []
        for dag_id, line in dags.items():
            tag = first_tags[dag_id]
            for entry in line:
                tagged.append((tag, entry[0], entry))
                tag += entry[0].slots
        tagged.sort(key=itemgetter(0, 1))
        return [entry for _, _, entry in tagged]


def _with_urgency(entries: list[tuple[Turn, _Wait]]) -> Iterator[tuple[tuple[float, int], _Wait]]:
    """
    Yield each wait of a priority with its urgency, the lowest first.

    It is that of the oldest wait that is left at this point: so the oldest cannot be passed forever, and
    whose turn it is within the priority is not changed.
    """
    oldest = math.inf
    urgencies = []
    for turn, wait in reversed(entries):
        oldest = min(oldest, turn.since)
        urgencies.append(((oldest - turn.priority * SECONDS_A_STEP, -turn.priority), wait))
    return reversed(urgencies)
