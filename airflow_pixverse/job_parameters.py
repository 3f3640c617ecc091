"""JobParameters: what a wait for a job is given, on its way from the sensor to the trigger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airflow_pixverse.parameters import parse_job_id
from airflow_pixverse.trigger_parameters import TriggerParameters


@dataclass(frozen=True, kw_only=True)
class JobParameters(TriggerParameters):
    """
    The parameters of a wait for a job, beside those of every wait.

    :param job_id: id of the job.
    :raises ValueError: there is no id.
    """

    job_id: Annotated[str, parse_job_id] = ""

    def __post_init__(self) -> None:
        parse_job_id(self.job_id)
