"""What a submit that failed has come to, for whoever writes it down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import PixverseJobFailedError, PixverseJobModeratedError
from airflow_pixverse.marks import MarkError
from airflow_pixverse.submits.errors import UnsettledError
from airflow_pixverse.submits.history import accepted_before, unsettled_before

if TYPE_CHECKING:
    from airflow_pixverse.marks import Mark

XCOM_KEY = "failure"


class FailureStatus(StrEnum):
    """What has become of the job of a task that has failed."""

    NOT_SUBMITTED = "not submitted"
    """PixVerse has accepted nothing, so nothing is paid for."""
    UNKNOWN = "unknown"
    """Nobody can know, or not now, whether it was accepted."""
    ACCEPTED = "accepted"
    """It is paid for, but its result is not there, or not stored."""
    FAILED = "failed"
    MODERATED = "moderated"


def failure_of(
    error: BaseException, job_ids: Sequence[str], read_marks: Callable[[], list[Mark]] | None
) -> dict[str, Any]:
    """
    Return the status, the reason and the jobs of a failure.

    :param error: what the task fails with.
    :param job_ids: the jobs that this try knows of.
    :param read_marks: reads the marks of all tries; None for a task that keeps none.
    """
    status, job_ids = _status(error, job_ids, read_marks)
    return {"status": status.value, "reason": str(error), "job_ids": list(job_ids)}


def _status(
    error: BaseException, job_ids: Sequence[str], read_marks: Callable[[], list[Mark]] | None
) -> tuple[FailureStatus, Sequence[str]]:
    if isinstance(error, (PixverseJobFailedError, PixverseJobModeratedError)):
        is_moderated = isinstance(error, PixverseJobModeratedError)
        return FailureStatus.MODERATED if is_moderated else FailureStatus.FAILED, job_ids
    if job_ids:
        return FailureStatus.ACCEPTED, job_ids
    if read_marks is None:
        return FailureStatus.UNKNOWN, job_ids
    try:
        marks = read_marks()
    except MarkError:
        return FailureStatus.UNKNOWN, job_ids
    if mark := accepted_before(marks):
        return FailureStatus.ACCEPTED, mark.job_ids
    is_unknown = isinstance(error, UnsettledError) or unsettled_before(marks) is not None
    return FailureStatus.UNKNOWN if is_unknown else FailureStatus.NOT_SUBMITTED, job_ids
