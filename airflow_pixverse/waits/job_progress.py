"""JobProgress: the state of one job in a wait, from its first poll to its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import (
    PixverseAccessError,
    PixverseError,
    PixverseFatalError,
    PixverseNoResultError,
    PixverseTransientError,
)
from airflow_pixverse.api.kinds import KINDS
from airflow_pixverse.backoff import backoff

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult

# Seconds between two polls of a job that is not listed: off-peak jobs take hours.
_UNLISTED = 60.0
# A job that has left the list is nearly done: its interval grows from the wait's own by doubling.
_SHORTEST_INTERVAL = 0.1  # seconds

# Seconds after which a listed job is polled, too: the list may fail, or be wrong.
UNSEEN = 300.0
# Seconds between two polls while a person has to act: 401, 402, 403, 404, 412, 596.
SLOW_LOOK = 300.0
# Seconds until the poll that confirms a permanent error.
_SECOND_LOOK = 5.0
GIVEN_UP_AFTER = 600.0
"""Seconds after which a wait ends if all answers say that the job will never have a result."""

REMIND_EVERY = 3600.0
"""Seconds between two reminders of a wait in its log."""
_ADVICE = (
    "Waiting costs nothing. To stop it, mark the task as failed, or give it a timeout; PixverseJobSensor can "
    "wait for the job again"
)


class JobProgress:
    """
    The state of a job, fed with polls of the list and with answers; it makes no calls itself.

    The worker and the triggerer both use it, so a wait ends the same way in both.

    :param interval: seconds between two polls of the job.
    :param log: the task's logger.
    :param remembers: False if each poll runs in a process of its own (reschedule mode). Then no poll is
        delayed for long, and no conclusion is drawn from elapsed time.
    :param clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        job_id: str,
        interval: float,
        log: Any,
        *,
        remembers: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job_id = job_id
        self.result: JobResult | None = None
        """The result, once the job is finished, well or not; None if it is not."""
        self.error: PixverseError | None = None
        """The reason why the wait ends without a result; None if it does not."""
        self.trouble: PixverseError | None = None
        """The error of the last poll; None if it succeeded."""
        self.last_seen = "it has not been seen yet"
        """The state of the job, as log lines and errors say it."""
        self._log = log
        self._clock = clock
        self._pacing = ResultPacing(interval, clock() if remembers else -math.inf)
        self._began = self._reminded = clock()
        # Without memory of a first error, each counts as the second.
        self._fatal_at_first = self._fatal_errors = 0 if remembers else 1
        self._answer: JobResult | None = None
        self._doubt, self._doubted_since = "", 0.0

    @property
    def has_ended(self) -> bool:
        """Whether the wait for this job is over."""
        return self.result is not None or self.error is not None

    @property
    def is_gone(self) -> bool:
        """Whether the last list did not have the job."""
        return self._pacing.is_gone

    @property
    def latest(self) -> JobResult:
        """The last answer; an empty one if there was none."""
        from airflow_pixverse.api.results import unknown_result

        return self._answer or unknown_result(self.job_id)

    def seconds_until_due(self) -> float:
        """Return the seconds until the result may be fetched; 0 for now."""
        return self._pacing.seconds_until_due(self._clock())

    def record_listed(self) -> None:
        """Record that the list of executing jobs has the job."""
        self._pacing.record_listed()
        self.trouble = None
        self._saw("executing")

    def record_gone(self) -> None:
        """Record that the list of executing jobs does not have the job."""
        self._pacing.record_gone()

    def record_answer(self, result: JobResult) -> None:
        """Record the service's answer for the job."""
        now = self._clock()
        self._pacing.record_asked(now)
        self._answer, self.trouble = result, None
        self._fatal_errors = self._fatal_at_first
        self._saw(result.state or "not executing, and without a result")
        if result.is_finished:
            self.result = result
        elif result.has_unknown_end:
            unknown = f"has ended in a state that is not known here: {result.summary}"
            self.error = PixverseNoResultError(f"job {self.job_id} {unknown}")
        elif (doubt := _doubt_of(result)) != self._doubt:
            self._doubt, self._doubted_since = doubt, now
        elif doubt and now - self._doubted_since >= GIVEN_UP_AFTER:
            minutes = (now - self._doubted_since) / 60
            self.error = PixverseNoResultError(f"job {self.job_id} {doubt}, for {minutes:.0f} minutes")

    def record_error(self, error: PixverseError) -> float:
        """
        Record an error in place of an answer.

        :return: seconds until the service may be asked for any job.
        """
        self.trouble = error
        if isinstance(error, PixverseFatalError):
            self._fatal_errors += 1
            if self._fatal_errors > 1 and not isinstance(error, PixverseAccessError):
                self.error = error
                return 0.0
        pause = pause_after(error, self._fatal_errors)
        self._pacing.record_asked(self._clock(), pause)
        if str(error) != self.last_seen or pause >= SLOW_LOOK:
            self._log.warning("Job %s: still waiting: %s", self.job_id, error)
            self.last_seen = str(error)
        return pause

    def remind(self) -> None:
        """Log once an hour that the wait goes on, and what a person can do."""
        now = self._clock()
        if self.has_ended or now - self._reminded < REMIND_EVERY:
            return
        self._reminded = now
        hours = (now - self._began) / 3600
        self._log.warning(
            "Still waiting for job %s after %.0f h: %s. %s", self.job_id, hours, self.last_seen, _ADVICE
        )

    def describe(self, limit: str) -> str:
        """
        Return the reason why there is no result, for an error message.

        :param limit: the limit of the wait, such as ``within 60 s``.
        """
        return (
            str(self.error) if self.error else f"job {self.job_id} is not finished {limit}: {self.last_seen}"
        )

    def _saw(self, what: str) -> None:
        if what != self.last_seen:
            self._log.info("Job %s: %s", self.job_id, what)
            self.last_seen = what


def are_worth_delivering(jobs: Sequence[JobProgress]) -> bool:
    """Return whether the task can continue: with all results, or with one that is completed."""
    results = [job.result for job in jobs]
    return all(results) or any(result is not None and result.is_completed for result in results)


def _doubt_of(result: JobResult) -> str:
    """Return why a job may never have a result, as the end of a sentence; empty if it may have one."""
    kind = KINDS.get(result.kind or "video")
    if not result.is_found and not (kind and kind.is_hidden):
        return "is not found, so it is deleted, or there never was one of this id"
    if result.state == "COMPLETED":  # and yet not finished
        return f"is COMPLETED without a URL: {result.summary}"
    return ""


class ResultPacing:
    """
    The schedule of polls of a job's result: at most one an interval.

    Times are in seconds of a monotonic clock.

    :param interval: seconds between two polls of the job.
    :param began: start of the wait.
    """

    def __init__(self, interval: float, began: float) -> None:
        self.is_gone = False
        """Whether the last list did not have the job; False before the first list."""
        self._interval = max(interval, _SHORTEST_INTERVAL)
        self._began = began
        self._asked_at = self._not_before = -math.inf
        self._polls_without_result = 0
        self._was_listed = False

    def record_listed(self) -> None:
        """Record that the job executes; its result is due once it has left the list."""
        self.is_gone = False
        self._was_listed = True
        self._polls_without_result = 0

    def record_gone(self) -> None:
        """Record that the job is not listed."""
        self.is_gone = True

    def record_asked(self, now: float, pause: float = 0.0) -> None:
        """
        Record a poll that gave no result.

        :param pause: seconds until the next poll, at least.
        """
        self._asked_at, self._not_before = now, now + pause
        self._polls_without_result += 1

    def seconds_until_due(self, now: float) -> float:
        """Return the seconds until the result may be fetched; 0 for now."""
        due = self._asked_at + self._pause if self.is_gone else max(self._asked_at, self._began) + UNSEEN
        return max(0.0, due - now, self._not_before - now)

    @property
    def _pause(self) -> float:
        if not self._was_listed:
            return max(self._interval, _UNLISTED)
        longest = max(self._interval, _UNLISTED)
        return backoff(self._polls_without_result, first=self._interval, longest=longest)


def pause_after(error: PixverseError, times: int) -> float:
    """
    Return the seconds to wait after an error before the next call.

    :param times: permanent errors in a row, this one included. The first may come from a token that has
        just been replaced.
    """
    if isinstance(error, PixverseTransientError):
        return error.retry_after or 0.0
    if times > 1:
        return SLOW_LOOK
    return 0.0 if isinstance(error, PixverseAccessError) else _SECOND_LOOK
