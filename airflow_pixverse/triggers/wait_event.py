"""The event that a wait in the triggerer ends with, and what the task is resumed with."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class WaitStatus(StrEnum):
    """How a wait in the triggerer ended: the ``status`` of the trigger's event."""

    SUCCESS = "success"
    FINISHED = "finished"
    TOLD = "told"
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
    admitted_at: float,
    lease: float,
    waiting_since: float,
) -> dict[str, Any]:
    """
    Return the payload for a slot that is kept for one job.

    :param reference: what is to end the ``replyRef`` of the job.
    :param admitted_at: since when the slot is kept, in seconds since the epoch.
    :param lease: for how many seconds.
    :param waiting_since: when the wait began, in seconds since the epoch.
    """
    ticket = {"reference": reference, "admitted_at": admitted_at, "lease": lease}
    return success_event(accounts) | {"ticket": ticket, "waiting_since": waiting_since}


def finished_event(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the payload for jobs that are finished, well or not; their results are in their JSON form."""
    return {"status": str(WaitStatus.FINISHED), "results": results}


def told_event() -> dict[str, Any]:
    """Return the payload once the gate has been told."""
    return {"status": str(WaitStatus.TOLD)}


def end_event(status: WaitStatus, message: str) -> dict[str, Any]:
    """Return the payload for any other end."""
    # A parameter that somebody has rendered may hold what neither msgpack nor a database can carry.
    text = message.encode("utf-8", "replace").decode().replace("\0", "")
    return {"status": str(status), "message": text}
