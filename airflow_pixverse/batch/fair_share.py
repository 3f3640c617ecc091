"""FairShare: the slots that a batch leaves to other tasks, so that it has no more than its turns."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_pixverse.api.reply_ref import prefix_of, random_part_of
from airflow_pixverse.gate.turns import Turn, Turns
from airflow_pixverse.submission.request import task_name_of

if TYPE_CHECKING:
    from airflow_pixverse.api.scheduler import ExecutingJob

log = logging.getLogger(__name__)

# Seconds for which a slot is left to others: a gate polls, and a worker comes, in that time.
_OFFER_FOR = 10.0
# Seconds after which a batch that has all slots leaves one, to learn whether others wait.
_OFFER_EVERY = 180.0
# None of these can be the id of a DAG. The second may wait, although no job of it has been seen.
_BATCH = Turn(since=0, number=0, dag_id="this batch")
_UNSEEN = Turn(since=0, number=1, dag_id="any other")
_NAMELESS = "another task"


class FairShare:
    """
    The turns of a batch, which is one wait among those of other DAGs, by the same order as in a gate.

    A batch on a worker cannot see who waits at a gate. So it goes by the jobs that start: a DAG whose job
    starts probably has more to submit, until a slot that was left to it stays free.

    :param prefix: the beginning of each ``replyRef`` of this run.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._task = _task(f"{prefix}#")
        self._turns = Turns()
        self._others: dict[str, Turn] = {}
        self._known: set[str] = set()
        self._listed: set[str | None] | None = None
        self._offered_at: float | None = None
        self._alone_since = time.monotonic()

    @property
    def is_shared(self) -> bool:
        """Whether other DAGs probably have jobs to submit."""
        return bool(self._others)

    def see(self, jobs: Iterable[ExecutingJob]) -> None:
        """Count the jobs of other DAGs that have started since the last snapshot."""
        before, self._listed = self._listed, set()
        for job in jobs:
            self._listed.add(job.id)
            dag = self._other_dag(job.reply_ref)
            if dag is None or (before is not None and job.id in before):
                continue
            if dag not in self._known:
                self._known.add(dag)
                log.info("Taking turns with %s, which submits jobs, too", dag)
            turn = self._others.setdefault(dag, Turn(since=0, number=1, dag_id=dag))
            self._others.pop(_UNSEEN.dag_id, None)
            self._offered_at = None
            if before is not None:
                self._turns.record_served(turn)

    def allowed(self, room: int, free: int) -> int:
        """
        Return how many slots are the batch's now.

        :param room: slots that its limits let it take.
        :param free: all slots that are free.
        """
        now = time.monotonic()
        if room <= 0:
            self._offered_at = None
            if self._others.pop(_UNSEEN.dag_id, None):  # a program that gives no reference has had the slot
                self._alone_since = now
            return 0
        if not self._others and room == free and now - self._alone_since >= _OFFER_EVERY:
            self._others[_UNSEEN.dag_id] = _UNSEEN
        waits = [_BATCH] * free
        for turn in self._others.values():
            waits += [turn] * (1 if turn is _UNSEEN else free)
        first = self._turns.in_order(waits, lambda turn: turn)[:free]
        allowed = min(room, first.count(_BATCH))
        if allowed == room:
            self._offered_at = None
        elif self._offered_at is None:
            self._offered_at = now
        elif now - self._offered_at >= _OFFER_FOR:
            self.reset()
            return room
        return allowed

    def record_taken(self) -> None:
        """Record that a row is being submitted."""
        self._turns.record_served(_BATCH)

    def record_unused(self) -> None:
        """Record that a row was not accepted."""
        self._turns.record_unused(_BATCH)

    def reset(self) -> None:
        """Forget who else waits, since a slot stayed free, or the batch itself could not submit."""
        self._turns, self._others, self._offered_at = Turns(), {}, None
        self._alone_since = time.monotonic()

    def _other_dag(self, reply_ref: str | None) -> str | None:
        """Return the DAG that has submitted a job; None for this task and other programs."""
        if not random_part_of(reply_ref) or prefix_of(reply_ref) == self._prefix:
            return None
        task = _task(reply_ref)
        if task is None:
            return _NAMELESS
        return None if task == self._task else task[0]


def _task(reply_ref: str | None) -> tuple[str, str] | None:
    """Return the ids of the DAG and the task that a ``replyRef`` names; None if it names none."""
    name = task_name_of(reply_ref)
    return name and (name.dag_id, name.task_id)
