"""PixverseJobTrigger: wait in the triggerer for the results of jobs."""

import asyncio
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from airflow_pixverse.api.credits import AccountCredits
from airflow_pixverse.api.kinds import account_of
from airflow_pixverse.reports.metrics import count_finished
from airflow_pixverse.reports.xcoms import xcoms_of_success
from airflow_pixverse.triggerer.job_follower import JobFollower
from airflow_pixverse.triggerer.shared_gates import gate_of, shared_gate_of
from airflow_pixverse.triggerer.task_end import task_success
from airflow_pixverse.triggers.wait_trigger import FIRST_LOOK_WITHIN, WaitTrigger, as_event
from airflow_pixverse.waits.deadlines import Deadlines, Limit
from airflow_pixverse.waits.events import EVENT_CREDITS, WaitStatus, end_event, finished_event
from airflow_pixverse.waits.job_progress import JobProgress, are_worth_delivering
from airflow_pixverse.waits.parameters import JobParameters
from airflow_pixverse.waits.submit_state import SubmitState

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult


class PixverseJobTrigger(WaitTrigger[JobParameters]):
    """
    Wait until PixVerse jobs are finished, well or not.

    The trigger only reads. While a job executes, the trigger shares the poll of its connection's gate. When
    the job has left the list, or never was there, the trigger fetches the result. It sends one event, a dict
    with ``status`` (see :class:`WaitStatus`) and ``results``, in the order of the ids, or ``message``.

    The event says which jobs are finished, but has no results: Airflow logs events, and the URL of a result
    may be signed. The task fetches the results again.

    :param kwargs: see :class:`~airflow_pixverse.waits.parameters.JobParameters`.
    """

    parameters = JobParameters

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._completed: list[JobResult] | None = None

    async def _end(self, parameters: JobParameters, payload: dict[str, Any]) -> TriggerEvent:
        """Return the event that ends the wait, or the task."""
        # Without a task instance, dag.test() runs this, and resumes the task in any case.
        if not (parameters.end_from_trigger and self._completed and self.task_instance):
            return as_event(payload)
        state = SubmitState.of_event(payload)
        xcoms = xcoms_of_success(self._completed, state, do_xcom_push=parameters.do_xcom_push)
        end = await task_success(self, payload, xcoms)
        if isinstance(end, TaskSuccessEvent):
            self.log.info("Completed: %s. The task ends here", ", ".join(parameters.job_ids))
            count_finished(self._completed, parameters.endpoint)
        return end

    async def _wait(self, parameters: JobParameters) -> dict[str, Any]:
        began = time.monotonic()
        deadlines = self._deadlines(parameters)
        if parameters.first_poll_at is not None:
            await asyncio.sleep(min(parameters.first_poll_at, deadlines.first[0]) - time.time())
        first_look_until = time.time() + FIRST_LOOK_WITHIN
        followers = [JobFollower(job_id, parameters, self.log) for job_id in parameters.job_ids]
        # One asyncio task a job and no more, because a trigger may wait for thousands of jobs.
        following = [asyncio.create_task(follower.follow()) for follower in followers]
        try:
            end, limit = deadlines.first
            await _wait_for(following, until=end)
            if limit is Limit.TIMEOUT:
                looks = [follower.looked for follower in followers if not follower.looked.done()]
                await _wait_for(looks, until=first_look_until)
            for task in following:
                if task.done():
                    task.result()  # raises an unforeseen error
            payload = self._end_of([follower.progress for follower in followers], parameters, deadlines)
        finally:
            for task in following:
                task.cancel()
        if parameters.report_credits and payload["status"] == WaitStatus.FINISHED:
            email = account_of(parameters.job_ids)
            # Credits that were read before the job was submitted do not tell what is left after it.
            left = await shared_gate_of(parameters.pixverse_conn_id).credits.get(email, since=began)
            payload[EVENT_CREDITS] = AccountCredits(email, left).to_json()
        return payload

    def _end_of(
        self, jobs: list[JobProgress], parameters: JobParameters, deadlines: Deadlines
    ) -> dict[str, Any]:
        """Return the payload of the event, after all jobs have ended or the time is up."""
        _, limit = deadlines.first
        have_ended = all(job.has_ended for job in jobs)
        if not have_ended and limit is Limit.EXECUTION_TIMEOUT:
            return end_event(WaitStatus.EXECUTION_TIMEOUT, "execution_timeout has passed")
        if are_worth_delivering(jobs):
            completed = [job.result for job in jobs if job.result and job.result.is_completed]
            self._completed = completed if len(completed) == len(jobs) else None
            return finished_event([(job.job_id, job.result is not None) for job in jobs])
        if have_ended:
            raise next(job.error for job in jobs if job.error)
        error = gate_of(parameters.pixverse_conn_id).last_error
        trouble = f"; last API error: {error}" if error else ""
        texts = [job.describe(f"within {deadlines.timeout:g} s") for job in jobs if not job.result]
        return end_event(WaitStatus.TIMEOUT, "; ".join(texts) + trouble)


async def _wait_for(futures: Sequence[asyncio.Future[Any]], *, until: float) -> None:
    """Wait until all futures are done, or one has failed, or until a time in seconds since the epoch."""
    if not futures:
        return
    timeout = None if math.isinf(until) else max(0.0, until - time.time())
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_EXCEPTION)
