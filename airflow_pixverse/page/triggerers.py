"""How many triggerers are alive: the row of a trigger keeps the id of one that has died."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.jobs.job import Job, JobState
from airflow.providers.common.compat.sdk import conf
from sqlalchemy import func, select

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def count_alive(session: Session) -> int:
    """Return how many triggerers have sent a heartbeat lately, by Airflow's own measure."""
    threshold = conf.getfloat("triggerer", "triggerer_health_check_threshold")
    count = session.scalar(
        select(func.count(Job.id)).where(
            Job.job_type == "TriggererJob",
            Job.state == JobState.RUNNING,
            Job.latest_heartbeat > datetime.now(UTC) - timedelta(seconds=threshold),
        )
    )
    return count or 0
