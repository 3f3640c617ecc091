"""Errors of a submit beside those of the API, and the content of the XCom ``failure``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseJobFailedError,
    PixverseJobModeratedError,
    PixverseTransientError,
)
from airflow_pixverse.journal import JournalError

if TYPE_CHECKING:
    from airflow_pixverse.journal import SubmitHistory, SubmitRecord


_ADVICE = (
    "If it is there, PixverseJobSensor waits for it. If it is not, clear this task: that submits, and pays, "
    "again"
)


class NotSentError(PixverseError):
    """This try has sent nothing, and Airflow may retry it."""


class NotOursError(NotSentError):
    """
    Another try of the same task has submitted, or is submitting.

    :param record: the record of that submit.
    """

    def __init__(self, message: str, record: SubmitRecord) -> None:
        super().__init__(message)
        self.record = record


class AnswerLostError(PixverseError):
    """
    A submit was sent, its answer was lost, and its job has still to be looked for.

    :param look: function that looks for it, and ends as the submit would have.
    """

    def __init__(self, message: str, look: Callable[[], SubmitRecord]) -> None:
        super().__init__(message)
        self.look = look


class NotListedError(PixverseTransientError):
    """A submit was sent and its answer was lost, but its job would have been seen, so it is not accepted."""


class SlotUnusableError(PixverseError):
    """
    A task does not submit to the slot that it has, and waits for another one.

    :param emails: the accounts that it waits for now. None for the same as before.
    :param barred: the account that takes no job. None if it may take the next one.
    """

    def __init__(self, reason: str, emails: Sequence[str] | None = None, barred: str | None = None) -> None:
        super().__init__(reason)
        self.emails = emails
        self.barred = barred


class UnsettledError(PixverseError):
    """
    It is unknown whether a submit was accepted.

    :param record: its record.
    :param problem: what went wrong, or how it came to be found.
    :param advice: what to do once a person has looked for it.
    """

    def __init__(self, record: SubmitRecord, problem: str, *, advice: str = _ADVICE) -> None:
        sent = f"{record.endpoint} at {record.sent_at} with replyRef {record.reference}"
        super().__init__(
            f"It cannot be known whether PixVerse accepted what was sent to {sent}"
            f"{f' and seed {record.seed}' if record.seed else ''}: {problem}. "
            "Look for it in the executing jobs (GET scheduler/available) and among the results of "
            f"{f'account {record.email}' if record.email else 'the accounts'}. {advice}"
        )
        self.record, self.problem = record, problem


class FailureStatus(StrEnum):
    """The state of the job of a task that has failed."""

    NOT_SUBMITTED = "not submitted"
    """PixVerse has accepted nothing, so nothing is paid for."""
    UNKNOWN = "unknown"
    """It is unknown, or cannot be known now, whether it was accepted."""
    ACCEPTED = "accepted"
    """It is paid for, but its result is not there, or not stored."""
    FAILED = "failed"
    MODERATED = "moderated"


def failure_of(
    error: BaseException, job_ids: Sequence[str], read_history: Callable[[], SubmitHistory] | None
) -> dict[str, Any]:
    """
    Return the status, the reason and the jobs of a failure.

    :param error: what the task fails with.
    :param job_ids: the jobs that this try knows of.
    :param read_history: reads what all tries have submitted; None for a task without a journal.
    """
    status, job_ids = _status(error, job_ids, read_history)
    return {"status": status.value, "reason": str(error), "job_ids": list(job_ids)}


def _status(
    error: BaseException, job_ids: Sequence[str], read_history: Callable[[], SubmitHistory] | None
) -> tuple[FailureStatus, Sequence[str]]:
    if isinstance(error, (PixverseJobFailedError, PixverseJobModeratedError)):
        is_moderated = isinstance(error, PixverseJobModeratedError)
        return FailureStatus.MODERATED if is_moderated else FailureStatus.FAILED, job_ids
    if job_ids:
        return FailureStatus.ACCEPTED, job_ids
    if read_history is None:
        return FailureStatus.UNKNOWN, job_ids
    try:
        history = read_history()
    except JournalError:
        return FailureStatus.UNKNOWN, job_ids
    if record := history.accepted:
        return FailureStatus.ACCEPTED, record.job_ids
    is_unknown = isinstance(error, UnsettledError) or bool(history.unsettled)
    return FailureStatus.UNKNOWN if is_unknown else FailureStatus.NOT_SUBMITTED, job_ids
