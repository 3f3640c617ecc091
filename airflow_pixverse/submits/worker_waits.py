"""WorkerWaits: the waits of a task that is not deferrable, on the worker, which it holds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.capacity_watch import CapacityWatch
from airflow_pixverse.job_watch import JobWatch
from airflow_pixverse.submits.admission import Admission

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.hooks.pixverse import PixverseHook
    from airflow_pixverse.submits.state import SubmitState
    from airflow_pixverse.submits.timing import Timing
    from airflow_pixverse.submits.waits import SlotNews


class WorkerWaits:
    """
    Looks at the service at an interval. Transient trouble ends no wait.

    It knows no gate, so there is nobody to be told news.

    :param hook: a hook that does not retry.
    :param emails: the accounts that may have a slot; None for all.
    :param timing: the interval, and how long a wait may take.
    :param log: where to tell how it goes.
    """

    def __init__(self, hook: PixverseHook, emails: Sequence[str] | None, timing: Timing, log: Any) -> None:
        self._hook = hook
        self._emails = emails
        self._timing = timing
        self._log = log
        self._trouble: PixverseTransientError | None = None

    def for_capacity(self, state: SubmitState, news: SlotNews = None, pause: float = 0.0) -> Admission:  # noqa: ARG002
        """Return once there is a free slot."""
        ends = self._timing.capacity_ends(state)
        time.sleep(pause if ends is None else max(0.0, min(pause, ends - time.time())))
        watch = CapacityWatch(1, self._emails, self._log)
        for _ in self._looks(ends, "no free slot within capacity_timeout"):
            try:
                if accounts := watch.look(self._hook):
                    return Admission(accounts)
            except PixverseTransientError as error:
                self._met(error)
        raise AssertionError("the looks end with an error")

    def for_results(self, state: SubmitState, news: SlotNews = None) -> list[JobResult]:  # noqa: ARG002
        """Return once the jobs are finished."""
        watches = {
            job_id: JobWatch(job_id, self._timing.poke_interval, self._log) for job_id in state.job_ids
        }
        results: dict[str, JobResult] = {}
        for _ in self._looks(self._timing.completion_ends(state), "no result within completion_timeout"):
            try:
                executing = {job.id for job in self._hook.list_executing()}
                for job_id in watches.keys() - results.keys():
                    if result := watches[job_id].look(self._hook, executing):
                        results[job_id] = result
            except PixverseTransientError as error:
                self._met(error)
            except PixverseFatalError as error:
                # The job is paid for: whoever mends this can have its result.
                raise AirflowException(str(error)) from error
            if len(results) == len(watches):
                return [results[job_id] for job_id in state.job_ids]
        raise AssertionError("the looks end with an error")

    def give_back(self, state: SubmitState, news: SlotNews) -> None:
        """There is no gate that keeps a slot."""

    def _looks(self, ends: float | None, missing: str) -> Iterator[None]:
        """Yield whenever it is time to look, at once and then at the interval; end with an error."""
        while True:
            self._trouble = None
            yield
            now = time.time()
            retry_after = (self._trouble and self._trouble.retry_after) or 0.0
            pause = max(self._timing.poke_interval, retry_after)
            if ends is not None:
                if now >= ends:
                    trouble = f"; last API error: {self._trouble}" if self._trouble else ""
                    raise AirflowException(missing + trouble)
                pause = min(pause, ends - now)
            time.sleep(pause)

    def _met(self, error: PixverseTransientError) -> None:
        self._trouble = error
        self._log.warning("Still waiting: %s", error)
