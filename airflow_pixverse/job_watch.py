"""JobWatch: a job as a worker follows it, look by look."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow_pixverse.result_pacing import ResultPacing

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.hooks.pixverse import PixverseHook


class JobWatch:
    """
    Asks for the result of a job, once it does not execute, and not too often.

    :param job_id: id of the job.
    :param interval: seconds between two looks.
    :param log: where to tell how it goes.
    """

    def __init__(self, job_id: str, interval: float, log: Any) -> None:
        self.job_id = job_id
        self.has_looked = False
        """Whether the last look has shown anything, rather than put off the question."""
        self._pacing = ResultPacing(interval)
        self._log = log

    def look(self, hook: PixverseHook, executing: Collection[str | None]) -> JobResult | None:
        """
        Return the result, if the job is finished.

        :param executing: ids of the jobs that execute.
        :raises PixverseError: there is no answer.
        """
        if self.job_id in executing:
            self._pacing.record_listed()
            self._log.info("Job %s: executing", self.job_id)
            self.has_looked = True
            return None
        self.has_looked = not self._pacing.patience(time.monotonic())
        if not self.has_looked:
            return None
        self._pacing.record_asked(time.monotonic())
        result = hook.get_result(self.job_id)
        self._log.info("Job %s: %s", self.job_id, result.state or "not executing, and without a result")
        return result if result.is_finished else None
