"""BatchLoop: one look an interval, and what follows from it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.gate.suspicion import Suspicion
from airflow_pixverse.waits.submit_state import submit_backoff

if TYPE_CHECKING:
    from airflow_pixverse.batch.following import Following
    from airflow_pixverse.batch.looks import SharedLooks
    from airflow_pixverse.batch.rows import Row
    from airflow_pixverse.batch.steps import Steps
    from airflow_pixverse.batch.submitting import Submitting

log = logging.getLogger(__name__)

# While something looks for a lost job, looks are at most this many seconds apart: gaps would prove nothing.
_LONGEST_GAP = 3.0
# While other tasks wait for slots, too: a free one is theirs for a moment only, or the batch's.
_SHARED_INTERVAL = 2.0
# Seconds after a look, however long it took, in which outcomes are handled and nothing is polled.
_SHORTEST_PAUSE = 0.1


class BatchLoop:
    """
    Makes the rows of a table: one thread decides, a few others make calls.

    :param rows: all rows, placed.
    :param looks: takes the snapshots.
    :param steps: runs the calls.
    :param poke_interval: seconds between two polls.
    :param reconnect: reads the connection again.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        looks: SharedLooks,
        steps: Steps,
        submitting: Submitting,
        following: Following,
        poke_interval: float,
        reconnect: Callable[[], None],
    ) -> None:
        self._rows = rows
        self._looks = looks
        self._steps = steps
        self._submitting = submitting
        self._following = following
        self._poke_interval = poke_interval
        self._reconnect = reconnect
        self._failures = 0
        self._retry_after = 0.0
        self._suspicion = Suspicion()

    def kill(self) -> None:
        """Let :meth:`run` end soon: what is being sent is sent and recorded, and nothing more is begun."""
        self._looks.stop()  # threads see it at once, however long the thread of the loop takes
        self._steps.wake()

    def run(self) -> None:
        """
        Return once nothing is left to do, or it was killed.

        :raises PixverseFatalError: the service has refused every look for a minute.
        """
        try:
            for row in self._rows:
                self._submitting.take_up(row)
            while not self._steps.is_woken and not self._is_over():
                asked = time.monotonic()
                if self._following.rows or self._submitting.has_more or self._looks.is_awaited:
                    self._look(asked)
                self._following.go_on()
                # Once a look is awaited, the interval is shorter, so it is asked for again and again.
                earliest = time.monotonic() + _SHORTEST_PAUSE
                self._steps.handle_until(partial(self._next_look, asked, earliest), self._is_over)
        finally:
            self._looks.stop()
            self._steps.close()

    def _is_over(self) -> bool:
        return not (self._submitting.has_more or self._following.rows or self._steps.count)

    def _next_look(self, asked: float, earliest: float) -> float:
        """
        Return when to look again, which is not before the earliest moment.

        An interval begins once the rows of a look are accepted. If it began before, jobs that take a whole
        number of intervals would end right after a look, each time. A look that is awaited comes sooner,
        however long rows go on being accepted.
        """
        pause = max(submit_backoff(self._failures), self._retry_after) if self._failures else 0.0
        if self._looks.is_awaited:
            at = asked + max(min(self._poke_interval, _LONGEST_GAP), pause)
        else:
            is_shared = self._submitting.is_shared
            interval = min(self._poke_interval, _SHARED_INTERVAL) if is_shared else self._poke_interval
            at = max(asked, self._submitting.accepted_at) + max(interval, pause)
        return max(at, earliest)

    def _look(self, asked: float) -> None:
        try:
            capacity = self._looks.take()
        except PixverseTransientError as error:
            self._failures += 1
            self._retry_after = error.retry_after or 0.0
            log.warning("Polling the slots failed, the batch polls again: %s", error)
            return
        except PixverseFatalError as error:
            if self._suspicion.confirms(asked):
                raise
            self._failures = 1
            log.warning("Polling the slots failed, the batch polls again: %s", error)
            self._reconnect()
            return
        self._failures, self._retry_after = 0, 0.0
        self._suspicion.clear()
        self._following.record(capacity, asked)
        self._submitting.submit(capacity, self._following.unseen(asked), self._following.running)
