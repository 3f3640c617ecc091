"""The response to one user: the last readings, without what that user may not see."""

import math
import re
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import cast

from airflow_pixverse.api.kinds import split_job_id
from airflow_pixverse.api.scheduler import Capacity, ExecutingJob, email_key
from airflow_pixverse.capabilities import triggerer_capacity
from airflow_pixverse.page.capacity import CapacityView
from airflow_pixverse.page.database import DatabaseSnapshot
from airflow_pixverse.page.response import (
    Account,
    Batch,
    Batches,
    CapacityResponse,
    Job,
    Snapshot,
    TaskKey,
    Wait,
    Waits,
)
from airflow_pixverse.submission.request import is_of_a_task, task_name_of

_MAX_TOO_LARGE = 10
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*")
_USER = re.compile(r"user:[\w-]*", re.IGNORECASE)


def compose(
    database: DatabaseSnapshot,
    connection: str | None,
    view: CapacityView | None,
    *,
    readable: AbstractSet[str],
    find: str,
    limit: int,
) -> CapacityResponse:
    """
    Return the response.

    :param connection: id of the connection it is about; None if there are no connections.
    :param view: the capacity of that connection; None if there are no connections.
    :param readable: ids of the DAGs that the user may read.
    :param find: text in the DAG, task or run of the waits to show.
    :param limit: most waits, batches and jobs to list.
    """
    capacity = view.capacity if view else None
    waits = database.waits.get(connection or "", [])
    return {
        "now": time.time(),
        "connections": database.connections,
        "connection": connection,
        "taken_at": view.taken_at if view else None,
        "problem": view.problem if view else None,
        "capacity": _snapshot(view, readable, limit) if view else None,
        "waits": _waits(waits, capacity, readable, find.strip().casefold(), limit),
        "batches": _batches(database.batches.get(connection or "", []), readable, limit),
        "triggerers": database.triggerers,
        "triggers": database.triggers,
        "places": database.triggerers * triggerer_capacity(),
    }


def _snapshot(view: CapacityView, readable: AbstractSet[str], limit: int) -> Snapshot | None:
    if view.capacity is None or view.taken_at is None:
        return None
    taken_at = datetime.fromtimestamp(view.taken_at, UTC)
    oldest_first = sorted(
        (_job(job, taken_at, readable) for job in view.capacity.executing),
        key=lambda job: -math.inf if job["age_seconds"] is None else job["age_seconds"],
        reverse=True,
    )
    return {
        "free": view.capacity.free_slots(),
        "total": view.capacity.total_slots(),
        "accounts": _accounts(
            view.capacity, {key: _shareable(text) for key, text in view.account_errors.items()}
        ),
        "executing_total": len(oldest_first),
        "executing": oldest_first[:limit],
    }


def _accounts(capacity: Capacity, errors: dict[str, str]) -> list[Account]:
    listed: list[Account] = [
        {
            "email": account.email,
            "total": account.total,
            "executing": account.total - account.available,
            "free": account.available,
            "error": errors.pop(email_key(account.email), None),
        }
        for account in capacity.accounts
    ]
    # The service may not list an account that has no capacity.
    return listed + [
        {"email": email, "total": 0, "executing": 0, "free": 0, "error": error}
        for email, error in sorted(errors.items())
    ]


def _job(job: ExecutingJob, taken_at: datetime, readable: AbstractSet[str]) -> Job:
    task = task_name_of(job.reply_ref)
    job_id = split_job_id(job.id or "")
    age = job.age(taken_at)
    started = job.started_at
    return {
        "id": _shareable(job_id.number if job_id else job.id or ""),
        "type": _shareable(job.type),
        "email": job.email,
        "started": started.timestamp() if started else None,
        "age_seconds": None if age is None else max(0.0, age.total_seconds()),
        "task": cast("TaskKey", task._asdict()) if task and task.dag_id in readable else None,
        "mine": is_of_a_task(job.reply_ref),
    }


def _waits(
    waits: Sequence[Wait], capacity: Capacity | None, readable: AbstractSet[str], find: str, limit: int
) -> Waits:
    visible = [wait for wait in waits if wait["dag_id"] in readable]
    found = [
        wait
        for wait in visible
        if any(find in name.casefold() for name in (wait["dag_id"], wait["task_id"], wait["run_id"]))
    ]
    too_large = [wait for wait in visible if capacity and _is_too_large(wait, capacity)]
    return {
        "total": len(waits),
        "hidden": len(waits) - len(visible),
        "found": len(found),
        "longest_since": min((wait["since"] for wait in waits if wait["since"] is not None), default=None),
        "shown": found[:limit],
        "too_large": too_large[:_MAX_TOO_LARGE],
    }


def _batches(batches: Sequence[Batch], readable: AbstractSet[str], limit: int) -> Batches:
    visible = [batch for batch in batches if batch["dag_id"] in readable]
    return {"total": len(batches), "hidden": len(batches) - len(visible), "shown": visible[:limit]}


def _is_too_large(wait: Wait, capacity: Capacity) -> bool:
    return wait["slots"] is not None and wait["slots"] > capacity.total_slots(wait["emails"])


def _shareable(text: str) -> str:
    """Remove what concerns only the owner of the token: addresses, and numbers of users."""
    return _USER.sub("user:...", _ADDRESS.sub("(address)", text))
