"""JobParameters: what a wait for jobs is given, on its way from the task to the trigger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from airflow_pixverse.parameters import parse_job_ids
from airflow_pixverse.trigger_parameters import TriggerParameters


@dataclass(frozen=True, kw_only=True)
class JobParameters(TriggerParameters):
    """
    The parameters of a wait for jobs, beside those of every wait.

    :param job_ids: ids of the jobs.
    :raises ValueError: there is no id.
    """

    job_ids: Annotated[list[str], parse_job_ids] = field(default_factory=list)

    def __post_init__(self) -> None:
        parse_job_ids(self.job_ids)
