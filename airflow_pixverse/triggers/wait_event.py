"""The event that a wait in the triggerer ends with, and what the task is resumed with."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class WaitStatus(StrEnum):
    """How a wait in the triggerer ended: the ``status`` of the trigger's event."""

    SUCCESS = "success"
    FINISHED = "finished"
    TIMEOUT = "timeout"
    EXECUTION_TIMEOUT = "execution_timeout"
    FATAL = "fatal"
    ERROR = "error"


def success_event(accounts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the payload for free slots; the accounts are in their JSON form."""
    return {"status": str(WaitStatus.SUCCESS), "accounts": accounts}


def finished_event(result: dict[str, Any]) -> dict[str, Any]:
    """Return the payload for a job that is finished, well or not; its result is in its JSON form."""
    return {"status": str(WaitStatus.FINISHED), "result": result}


def end_event(status: WaitStatus, message: str) -> dict[str, Any]:
    """Return the payload for any other end."""
    # A parameter that somebody has rendered may hold what neither msgpack nor a database can carry.
    text = message.encode("utf-8", "replace").decode().replace("\0", "")
    return {"status": str(status), "message": text}
