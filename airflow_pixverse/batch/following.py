"""Following: rows whose jobs are accepted, until their files are stored."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_pixverse.api.errors import PixverseAccessError, PixverseError, PixverseNoResultError
from airflow_pixverse.batch.rows import Row, RowStatus
from airflow_pixverse.waits.job_progress import JobProgress
from airflow_pixverse.waits.submit_state import submit_backoff

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.api.scheduler import Capacity
    from airflow_pixverse.batch.row_work import RowWork
    from airflow_pixverse.batch.steps import Steps
    from airflow_pixverse.journal import SubmitRecord
    from airflow_pixverse.journal.records import State

log = logging.getLogger(__name__)

# How often the files of a row are tried in one try of the task.
_STORE_TRIES = 3
# How often a job whose time is up is asked for in one try, until there is an answer.
_LATE_ASKS = 3


@dataclass(eq=False)
class Followed:
    """
    A row whose job is accepted.

    :param jobs: the progress of each of its jobs.
    :param ends: when it is not waited for any more, in seconds since the epoch.
    :param since: when it was taken up, by the monotonic clock: older snapshots tell nothing of it.
    """

    row: Row
    jobs: list[JobProgress]
    ends: float
    since: float = field(default_factory=time.monotonic)
    asked: set[str] = field(default_factory=set)
    """Ids of jobs whose answer is awaited."""
    asks_left: Counter[str] = field(default_factory=Counter)
    """How often each job is asked for, once its time is up."""
    store_tries: int = 0
    store_at: float | None = None
    """When to store, by the monotonic clock; None if the jobs go on."""
    is_storing: bool = False


class Following:
    """
    The rows whose jobs are accepted.

    :param work: the steps of a row.
    :param steps: runs them.
    :param poke_interval: seconds between two questions for a result.
    :param completion_timeout: seconds from the submit after which a job is not waited for any more.
    :param reconnect: reads the connection again.
    """

    def __init__(
        self,
        work: RowWork,
        steps: Steps,
        *,
        poke_interval: float,
        completion_timeout: float,
        reconnect: Callable[[], None],
    ) -> None:
        self._work = work
        self._steps = steps
        self._poke_interval = poke_interval
        self._timeout = completion_timeout
        self._reconnect = reconnect
        self.rows: dict[Row, Followed] = {}

    def add(self, row: Row, record: SubmitRecord) -> None:
        """Follow a row whose job is accepted."""
        row.record, row.status, row.reason = record, RowStatus.RUNNING, ""
        jobs = [JobProgress(job_id, self._poke_interval, log) for job_id in record.job_ids]
        ends = datetime.fromisoformat(record.sent_at).timestamp() + self._timeout
        self.rows[row] = Followed(
            row, jobs, ends, asks_left=Counter(dict.fromkeys(record.job_ids, _LATE_ASKS))
        )

    def record(self, capacity: Capacity, asked: float) -> None:
        """
        Record a snapshot.

        :param asked: when it was asked for, by the monotonic clock.
        """
        listed = {job.id for job in capacity.executing}
        for followed in self.rows.values():
            if followed.since < asked:
                for job in followed.jobs:
                    (job.record_listed if job.job_id in listed else job.record_gone)()

    @property
    def running(self) -> int:
        """The number of jobs that have not ended: a row of several images has several."""
        return sum(not job.has_ended for followed in self.rows.values() for job in followed.jobs)

    def unseen(self, asked: float) -> list[str]:
        """Return the accounts of jobs that a snapshot may not have yet; empty for unknown."""
        return [
            (followed.row.record.email if followed.row.record else None) or ""
            for followed in self.rows.values()
            if followed.since >= asked
            for _ in followed.jobs
        ]

    def go_on(self) -> None:
        """Ask for results that are due, store what is there, and leave what takes too long."""
        for followed in list(self.rows.values()):
            if followed.store_at is not None:
                if not followed.is_storing and time.monotonic() >= followed.store_at:
                    self._store(followed)
            else:
                self._ask_for_results(followed)

    def _ask_for_results(self, followed: Followed) -> None:
        """Ask for the results that are due; each once, also if their time is up."""
        is_late = time.time() >= followed.ends
        for job in followed.jobs:
            is_due = not job.seconds_until_due() or (is_late and followed.asks_left[job.job_id] > 0)
            if is_due and not job.has_ended and job.job_id not in followed.asked:
                self._ask(followed, job)
            job.remind()
        if is_late and not followed.asked:
            self._finish(followed)

    def _ask(self, followed: Followed, job: JobProgress) -> None:
        def answered(result: JobResult) -> None:
            followed.asks_left[job.job_id] = 0
            job.record_answer(result)
            self._check(followed, job)

        def failed(error: PixverseError) -> None:
            job.record_error(error)
            if isinstance(error, PixverseAccessError):
                self._reconnect()
            self._check(followed, job)

        followed.asked.add(job.job_id)
        followed.asks_left[job.job_id] -= 1
        self._steps.start(lambda: self._work.result(job.job_id), answered, failed, pool="result")

    def _check(self, followed: Followed, job: JobProgress) -> None:
        followed.asked.discard(job.job_id)
        if all(one.has_ended for one in followed.jobs) and not followed.asked:
            self._finish(followed)

    def _finish(self, followed: Followed) -> None:
        """Store what there is; record a job that has ended without a result; leave one that has not ended."""
        jobs = followed.jobs
        results = [job.result for job in jobs if job.result]
        if any(result.is_completed for result in results):
            followed.store_at = time.monotonic()
            self._store(followed)
        elif all(job.result or isinstance(job.error, PixverseNoResultError) for job in jobs):
            is_moderated = any(result.is_moderated for result in results)
            state: State = "moderated" if is_moderated else "failed"
            self._steps.start(
                lambda: self._work.end(followed.row, state, results, _missing(jobs)),
                lambda record: self._end(followed, RowStatus(state), record),
                lambda error: self._leave(followed, str(error)),
                pool="result",
            )
            followed.store_at, followed.is_storing = time.monotonic(), True
        else:
            self._leave(followed, _missing(jobs))

    def _store(self, followed: Followed) -> None:
        def failed(error: PixverseError) -> None:
            followed.is_storing = False
            followed.store_tries += 1
            text = f"its result is there and paid for, but not stored: {error}"
            if followed.store_tries >= _STORE_TRIES:
                self._leave(followed, text)
                return
            log.warning("Row %s: %s", followed.row.key, text)
            followed.store_at = time.monotonic() + submit_backoff(followed.store_tries)

        followed.is_storing = True
        results = [job.latest for job in followed.jobs]
        self._steps.start(
            lambda: self._work.store(followed.row, results, _missing(followed.jobs)),
            lambda record: self._end(followed, RowStatus.STORED, record),
            failed,
            pool="file",
        )

    def _end(self, followed: Followed, status: RowStatus, record: SubmitRecord) -> None:
        row = followed.row
        row.record, row.status, row.reason = record, status, record.reason
        del self.rows[row]
        if record.reason:
            log.warning("Row %s: %s", row.key, record.reason)

    def _leave(self, followed: Followed, reason: str) -> None:
        """Leave a row whose job is paid for to a later try, which only stores its result."""
        log.warning("Row %s is left: %s", followed.row.key, reason)
        followed.row.reason = reason
        del self.rows[followed.row]


def _missing(jobs: Sequence[JobProgress]) -> str:
    """Return why jobs have no file, a clause each; empty if all have one."""
    return "; ".join(filter(None, map(_why_missing, jobs)))


def _why_missing(job: JobProgress) -> str:
    if job.result is None:
        return job.describe("within completion_timeout")
    if job.result.is_completed:
        return ""
    why = f": {job.result.reason}" if job.result.reason else ""
    return f"job {job.job_id} has ended as {job.result.state}{why}"
