"""Metrics of jobs: how many were submitted, and how they ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from airflow_pixverse.api.kinds import FOLDERS, kind_of_endpoint, split_job_id

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult

Event = Literal["submitted", "completed", "failed", "moderated", "refused", "unknown"]


def count(event: Event, endpoint: str, job_id: str | None = None) -> None:
    """
    Count an event as ``pixverse.jobs.<event>``, tagged with the type of the job.

    :param endpoint: of the submit, which tells the type where the id does not.
    :param job_id: the job. None if there is none.
    """
    from airflow.providers.common.compat.sdk import Stats

    job = split_job_id(job_id or "")
    kind = job.kind if job and job.kind in FOLDERS else kind_of_endpoint(endpoint)
    Stats.incr(f"pixverse.jobs.{event}", tags={"type": kind or "unknown"})


def count_finished(results: Iterable[JobResult], endpoint: str) -> None:
    """Count jobs that are finished, each by how it ended."""
    for result in results:
        if result.ending:
            count(result.ending, endpoint, result.id)
