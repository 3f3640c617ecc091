"""JobPoller: jobs that a worker polls, and results that it fetches after a trigger has seen them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import (
    PixverseAccessError,
    PixverseError,
    PixverseFatalError,
    PixverseTransientError,
)
from airflow_pixverse.waits.job_progress import UNSEEN, JobProgress, pause_after

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.api.scheduler import ExecutingJob
    from airflow_pixverse.hooks.pixverse import PixverseHook


class JobPoller:
    """
    Polls the list of executing jobs, and fetches the results of jobs that do not execute.

    A list that fails, or that keeps a job which has ended, only delays a result: after five minutes
    JobPoller asks for it anyway.

    :param job_ids: ids of the jobs.
    :param interval: seconds between two polls.
    :param log: the task's logger.
    :param remembers: False if each poll runs in a process of its own (reschedule mode).
    :param clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        job_ids: Sequence[str],
        interval: float,
        log: Any,
        *,
        remembers: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.jobs = [
            JobProgress(job_id, interval, log, remembers=remembers, clock=clock) for job_id in job_ids
        ]
        self.has_looked = False
        """Whether there was a poll."""
        self.pause = 0.0
        """Seconds until the next poll, at least."""
        self._log = log
        self._remembers = remembers
        self._clock = clock
        self._list_trouble: PixverseError | None = None
        self._fatal_at_first = self._fatal_errors = 0 if remembers else 1
        self._list_not_before = -math.inf

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return all(job.has_ended for job in self.jobs)

    @property
    def trouble(self) -> PixverseError | None:
        """The error of the last poll; None if it succeeded."""
        return next((job.trouble for job in self.jobs if job.trouble), self._list_trouble)

    def look(self, hook: PixverseHook) -> None:
        """
        Poll all jobs that have not ended. Errors of the service are recorded, not raised.

        :param hook: a hook that does not retry.
        """
        self.has_looked = True
        waiting = [job for job in self.jobs if not job.has_ended]
        pauses = [0.0]
        listed: Mapping[str | None, ExecutingJob] = {}
        if self._clock() >= self._list_not_before:
            try:
                listed = {job.id: job for job in hook.list_executing()}
            except PixverseError as error:
                pauses.append(self._record_list_trouble(error))
                _read_again_after(error, hook)
            else:
                self._record_list(listed, waiting)
        for job in waiting:
            if not job.seconds_until_due() and not self._is_put_off(listed.get(job.job_id)):
                try:
                    job.record_answer(hook.get_result(job.job_id))
                except PixverseError as error:
                    pauses.append(job.record_error(error))
                    _read_again_after(error, hook)
            job.remind()
        # A poller that remembers keeps a longer pause for the list and for each job.
        self.pause = min(max(pauses), UNSEEN if self._remembers else math.inf)

    def _record_list(self, listed: Mapping[str | None, ExecutingJob], waiting: Sequence[JobProgress]) -> None:
        self._list_trouble, self._fatal_errors = None, self._fatal_at_first
        for job in waiting:
            if job.job_id in listed:
                job.record_listed()
            else:
                job.record_gone()

    def _record_list_trouble(self, error: PixverseError) -> float:
        """Record an error of the list, and return the seconds until the list may be polled again."""
        self._list_trouble = error
        self._fatal_errors += isinstance(error, PixverseFatalError)
        pause = pause_after(error, self._fatal_errors)
        self._list_not_before = self._clock() + pause
        self._log.warning("Still waiting: %s", error)
        return pause

    def _is_put_off(self, listed: ExecutingJob | None) -> bool:
        """Return whether a listed job is too young to fetch its result; without memory, its age tells."""
        age = listed.age(datetime.now(UTC)) if listed and not self._remembers else None
        return age is not None and age.total_seconds() < UNSEEN


def _read_again_after(error: PixverseError, hook: PixverseHook) -> None:
    if isinstance(error, PixverseAccessError):
        hook.read_again()


class ResultUnavailableError(Exception):
    """
    A result that the trigger has seen is not available now, so the task waits again.

    :param pause: seconds to wait at least.
    """

    def __init__(self, message: str, pause: float) -> None:
        super().__init__(message)
        self.pause = pause


def fetch_results(hook: PixverseHook, jobs: Iterable[Mapping[str, Any]]) -> list[JobResult]:
    """
    Fetch the results of jobs after a trigger's event.

    The event itself has no results, because Airflow logs events, and the URL of a result may be signed.

    :param jobs: the event's objects with ``id`` and ``is_finished``.
    :raises ResultUnavailableError: the result of a finished job is not available now.
    :raises PixverseFatalError: a permanent error; another try will not help.
    """
    return [_result_of(hook, job["id"], is_finished=job.get("is_finished", True)) for job in jobs]


def _result_of(hook: PixverseHook, job_id: str, *, is_finished: bool) -> JobResult:
    from airflow_pixverse.api.results import unknown_result

    try:
        result = hook.get_result(job_id)
    except PixverseError as error:
        if not is_finished:
            return unknown_result(job_id)
        if isinstance(error, (PixverseAccessError, PixverseTransientError)):
            # The triggerer has just got an answer, so this counts as the second error in a row.
            raise ResultUnavailableError(str(error), pause_after(error, times=2)) from error
        raise
    if is_finished and not result.is_finished:
        raise ResultUnavailableError(
            f"job {job_id} was finished, and is {result.state or 'without a state'} now", 0.0
        )
    return result
