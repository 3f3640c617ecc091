"""PixverseJobTrigger: wait in the triggerer for the results of jobs."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_pixverse.deadlines import Deadlines, Limit
from airflow_pixverse.job_parameters import JobParameters
from airflow_pixverse.triggers.job_follower import JobFollower
from airflow_pixverse.triggers.shared_gates import gate_of
from airflow_pixverse.triggers.wait_event import WaitStatus, end_event, finished_event
from airflow_pixverse.triggers.wait_trigger import FIRST_LOOK_WITHIN, WaitTrigger

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult


class PixverseJobTrigger(WaitTrigger[JobParameters]):
    """
    Wait until PixVerse jobs are finished, well or not.

    It only reads. While a job is executing, it shares the poll of the gate of its connection; when the job
    has left the list, or never was there, it asks for the result. It sends one event, a dict with ``status``
    (see :class:`WaitStatus`) and ``results``, in the order of the ids, or ``message``.

    :param kwargs: see :class:`~airflow_pixverse.job_parameters.JobParameters`.
    """

    parameters = JobParameters

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kwargs = kwargs

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and parameters; none of them is secret."""
        return "airflow_pixverse.triggers.job.PixverseJobTrigger", dict(self._kwargs)

    async def _wait(self, parameters: JobParameters) -> dict[str, Any]:
        deadlines = self._deadlines(parameters)
        first_look_until = time.time() + FIRST_LOOK_WITHIN
        followers = [JobFollower(job_id, parameters, self.log) for job_id in parameters.job_ids]
        # A task for each job and no other, since thousands of jobs may be waited for.
        following = [asyncio.create_task(follower.result()) for follower in followers]
        try:
            end, limit = deadlines.first
            await _wait_for(following, until=end)
            if limit is Limit.TIMEOUT:
                looks = [follower.looked for follower in followers if not follower.looked.done()]
                await _wait_for(looks, until=first_look_until)
            results = _results_of(following)
            if results is None:
                return self._time_is_up(parameters, followers, deadlines)
            return finished_event([result.to_xcom() for result in results])
        finally:
            for task in following:
                task.cancel()

    def _time_is_up(
        self, parameters: JobParameters, followers: list[JobFollower], deadlines: Deadlines
    ) -> dict[str, Any]:
        _, limit = deadlines.first
        if limit is Limit.EXECUTION_TIMEOUT:
            return end_event(WaitStatus.EXECUTION_TIMEOUT, "execution_timeout has passed")
        error = gate_of(parameters.pixverse_conn_id).trouble
        trouble = f"; last API error: {error}" if error else ""
        unfinished = [follower for follower in followers if not follower.is_finished]
        limit_text = f"is not finished within {deadlines.timeout:g} s"
        texts = [f"job {follower.job_id} {limit_text}: {follower.last_seen}" for follower in unfinished]
        return end_event(WaitStatus.TIMEOUT, "; ".join(texts) + trouble)


def _results_of(following: Sequence[asyncio.Task[JobResult]]) -> list[JobResult] | None:
    """Return all results, None if not all are there, or raise the first error that there is."""
    errors = [error for task in following if task.done() and (error := task.exception())]
    if errors:
        raise errors[0]
    return [task.result() for task in following] if all(task.done() for task in following) else None


async def _wait_for(futures: Sequence[asyncio.Future[Any]], *, until: float) -> None:
    """Wait until all of these are done, or one has failed, or a moment in seconds since the epoch."""
    if not futures:
        return
    timeout = None if math.isinf(until) else max(0.0, until - time.time())
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_EXCEPTION)
