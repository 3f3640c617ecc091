"""What becomes of jobs, as Airflow metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from airflow_pixverse.api.endpoints import kind_of_endpoint
from airflow_pixverse.api.job_id import FOLDERS, parse_job_id

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult

Event = Literal["submitted", "completed", "failed", "moderated", "refused", "unknown"]


def count(event: Event, endpoint: str, job_id: str | None = None) -> None:
    """
    Count what has happened once, as ``pixverse.jobs.<event>``, tagged with the type of the job.

    :param endpoint: where the job was submitted to, which tells its type where its id does not.
    :param job_id: the job, if there is one.
    """
    from airflow.providers.common.compat.sdk import Stats

    job = parse_job_id(job_id or "")
    kind = job.kind if job and job.kind in FOLDERS else kind_of_endpoint(endpoint)
    Stats.incr(f"pixverse.jobs.{event}", tags={"type": kind or "unknown"})


def count_finished(results: Iterable[JobResult], endpoint: str) -> None:
    """Count jobs that are finished, each by how it ended."""
    for result in results:
        if result.is_completed:
            count("completed", endpoint, result.id)
        else:
            count("moderated" if result.is_moderated else "failed", endpoint, result.id)
