"""What the page takes from Airflow's database: read at most once in four seconds, however many look."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter

from airflow.utils.session import create_session

from airflow_pixverse.page.connections import connection_ids
from airflow_pixverse.page.triggerers import count_alive
from airflow_pixverse.page.waiting import DeferredTasks, WaitingTask, looking_tasks

READ_EVERY = 4.0
"""Seconds from one reading to the next."""


@dataclass(frozen=True)
class DatabaseSnapshot:
    """
    What was read.

    :param connections: ids of all connections of type ``pixverse``, sorted.
    :param queues: by connection, the tasks in the queue, in its order.
    :param looking: by connection, the tasks that look for themselves, the longest wait first.
    :param triggerers: how many triggerers are alive.
    """

    connections: list[str]
    queues: Mapping[str, list[WaitingTask]]
    looking: Mapping[str, list[WaitingTask]]
    triggerers: int


class DatabaseView:
    """The last reading, shared by all who look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deferred = DeferredTasks()
        self._last: tuple[float, DatabaseSnapshot] | None = None

    def look(self) -> DatabaseSnapshot:
        """Return the last reading, after a new one if it is time for that. It blocks."""
        last = self._last
        if last is not None and time.monotonic() - last[0] < READ_EVERY:
            return last[1]
        # While one reads, the others have the last reading, if there is one.
        if not self._lock.acquire(blocking=last is None) and last is not None:
            return last[1]
        try:
            # Another one may have read while this one waited for its turn.
            if (newest := self._last) is None or newest is last:
                newest = self._last = (time.monotonic(), self._read())
            return newest[1]
        finally:
            self._lock.release()

    def _read(self) -> DatabaseSnapshot:
        with create_session(scoped=False) as session:
            return DatabaseSnapshot(
                connection_ids(session, os.environ),
                _by_connection(self._deferred.read(session)),
                _by_connection(looking_tasks(session)),
                count_alive(session),
            )


def _by_connection(tasks: list[WaitingTask]) -> Mapping[str, list[WaitingTask]]:
    groups: dict[str, list[WaitingTask]] = defaultdict(list)
    for task in sorted(tasks, key=attrgetter("turn")):
        groups[task.connection].append(task)
    return dict(groups)
