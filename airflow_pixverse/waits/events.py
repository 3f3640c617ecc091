"""Events: the payloads with which a trigger ends a wait and Airflow resumes the task."""

from enum import StrEnum
from typing import Any

from airflow_pixverse.gate.awaited_job import AwaitedJob

EVENT_CREDITS = "credits"
"""The key of the credits of the account, in the event of a wait that is to report them."""


class WaitStatus(StrEnum):
    """The ``status`` of a trigger's event: the way in which the wait ended."""

    SUCCESS = "success"
    FINISHED = "finished"
    RELEASED = "released"
    RETRY = "retry"
    TIMEOUT = "timeout"
    EXECUTION_TIMEOUT = "execution_timeout"
    FATAL = "fatal"
    ERROR = "error"


def success_event(accounts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the payload for free slots; the accounts are in their JSON form."""
    return {"status": str(WaitStatus.SUCCESS), "accounts": accounts}


def ticket_event(
    accounts: list[dict[str, Any]],
    *,
    reference: str,
    lease: float,
    waiting_since: float,
    ahead: list[str] | None = None,
    awaited: AwaitedJob | None = None,
) -> dict[str, Any]:
    """
    Return the payload for a slot that is kept for one job.

    :param reference: the end of the job's ``replyRef``.
    :param lease: seconds for which the gate keeps the slot, counted from before the event; 0 for none.
    :param waiting_since: when the wait began, in seconds since the epoch.
    :param ahead: if the slot is not free yet, the ends of the ``replyRef`` of the jobs that get slots of the
        account before it; None if it is free.
    :param awaited: if the slot is not free yet, the job that it is expected from; None if unknown.
    """
    ticket: dict[str, Any] = {"reference": reference, "lease": lease}
    if ahead is not None:
        ticket["ahead"] = ahead
    if awaited is not None:
        ticket["awaited"] = awaited.to_json()
    return success_event(accounts) | {"ticket": ticket, "waiting_since": waiting_since}


def finished_event(jobs: list[tuple[str, bool]]) -> dict[str, Any]:
    """
    Return the payload for jobs whose results the task fetches now.

    :param jobs: pairs of a job's id and whether it is finished, well or not.
    """
    results = [{"id": job_id, "is_finished": is_finished} for job_id, is_finished in jobs]
    return {"status": str(WaitStatus.FINISHED), "results": results}


def released_event() -> dict[str, Any]:
    """Return the payload once the gate knows that a slot is not needed."""
    return {"status": str(WaitStatus.RELEASED)}


def retry_event() -> dict[str, Any]:
    """Return the payload of a retry that the worker begins, since an earlier try may have submitted."""
    return {"status": str(WaitStatus.RETRY)}


def end_event(status: WaitStatus, message: str) -> dict[str, Any]:
    """Return the payload for any other end."""
    return {"status": str(status), "message": portable(message)}


def portable(text: str) -> str:
    """Return a text without the characters that neither msgpack nor a database can carry."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
