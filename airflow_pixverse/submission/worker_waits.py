"""WorkerWaits: the waits of a task that is not deferrable, on the worker, which it holds."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowException

from airflow_pixverse.api.errors import PixverseError, PixverseFatalError, PixverseTransientError
from airflow_pixverse.gate.suspicion import Suspicion
from airflow_pixverse.submission.wait_protocol import Admission
from airflow_pixverse.waits.job_poller import JobPoller
from airflow_pixverse.waits.job_progress import are_worth_delivering
from airflow_pixverse.waits.slot_poller import SlotPoller

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.submission.task import SubmitTask
    from airflow_pixverse.submission.wait_protocol import SlotUpdate
    from airflow_pixverse.waits.submit_state import SubmitState


# A task whose wait begins looks within this many seconds.
_FIRST_LOOK_WITHIN = 5.0
# An interval is made longer by up to this share of it, at random.
_JITTER = 0.25
_MINUTE = 60.0


class WorkerWaits:
    """
    Polls the service at an interval. A transient error ends no wait, a permanent one only if it lasts.

    Workers use no gate, so lease updates are ignored.

    :param task: the task.
    :param emails: the accounts that may have a slot; None for all accounts.
    """

    def __init__(self, task: SubmitTask, emails: Sequence[str] | None) -> None:
        self._hook = task.hook
        self._timing = task.timing
        self._log = task.log
        self._emails = emails
        # How often in a row it was not accepted, although there was a free slot.
        self._setbacks = 0

    def for_capacity(
        self,
        state: SubmitState,
        update: SlotUpdate = None,  # noqa: ARG002
        retry_after: float | None = None,
    ) -> Admission:
        """Return once there is a free slot."""
        watch = SlotPoller(1, self._emails, self._log)
        suspicion = Suspicion()
        ends = self._timing.capacity_ends(state)
        pause = self._first_pause(state, retry_after)
        while True:
            time.sleep(max(0.0, min(pause, ends - time.time())))
            pause = self._timing.poke_interval * (1 + _JITTER * random.random())  # noqa: S311 - no secret
            trouble: PixverseError | None = None
            try:
                if accounts := watch.look(self._hook):
                    return Admission(accounts)
                suspicion.clear()
                self._setbacks = 0
            except PixverseTransientError as error:
                trouble, pause = error, max(pause, error.retry_after or 0.0)
            except PixverseFatalError as error:
                now = time.monotonic()
                if suspicion.confirms(now):
                    raise AirflowException(str(error)) from error
                trouble, pause = error, suspicion.interval(pause, now)
                self._hook.read_again()
            if trouble:
                self._log.warning("Still waiting: %s", trouble)
            if time.time() >= ends:
                last_error = f"; last API error: {trouble}" if trouble else ""
                raise AirflowException(f"no free slot within capacity_timeout{last_error}")

    def for_results(
        self,
        state: SubmitState,
        update: SlotUpdate = None,  # noqa: ARG002
        pause: float = 0.0,
    ) -> list[JobResult]:
        """Return once the jobs are finished, or the time is up and some are completed."""
        watch = JobPoller(state.job_ids, self._timing.poke_interval, self._log)
        ends = self._timing.completion_ends(state)
        while True:
            time.sleep(max(0.0, min(pause, ends - time.time())))
            watch.look(self._hook)
            if watch.has_ended or time.time() >= ends:
                break
            pause = max(self._timing.poke_interval, watch.pause)
        if are_worth_delivering(watch.jobs):
            return [job.latest for job in watch.jobs]
        # The jobs are paid for, so a retry may have their results.
        texts = [job.describe("within completion_timeout") for job in watch.jobs if not job.result]
        trouble = "" if watch.has_ended or not watch.trouble else f"; last API error: {watch.trouble}"
        raise AirflowException("; ".join(texts) + trouble)

    def give_back(self, state: SubmitState, update: SlotUpdate) -> None:
        """Do nothing: no gate keeps a slot."""

    def _first_pause(self, state: SubmitState, retry_after: float | None) -> float:
        """
        Return for how many seconds not to poll at first.

        Workers know nothing of each other, and would all submit to the same slot. So tasks that begin
        together look at different moments. Of those that were refused together, those that have waited
        longest come back first.
        """
        if not state.not_accepted:
            return min(_FIRST_LOOK_WITHIN, self._timing.poke_interval) * random.random()  # noqa: S311
        self._setbacks += 1
        pause = dataclasses.replace(state, not_accepted=self._setbacks).pause(None)
        waited = max(0.0, time.time() - state.waiting_since)
        return max(retry_after or 0.0, pause / 2) + pause / (1 + waited / _MINUTE)
