"""Put the answer together: from what is known, what this user may see."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_pixverse.api.models import email_key
from airflow_pixverse.page.words import harmless, short_job_id
from airflow_pixverse.submits.task_prefix import is_of_a_task, task_name_of

if TYPE_CHECKING:
    from airflow_pixverse.api.models import Capacity, ExecutingJob
    from airflow_pixverse.page.answer import Account, Answer, Job, Room, Wait, Waits
    from airflow_pixverse.page.capacity import CapacityView
    from airflow_pixverse.page.database import DatabaseSnapshot
    from airflow_pixverse.page.waiting import WaitingTask

_MAX_TOO_LARGE = 10


def compose(
    seen: DatabaseSnapshot,
    connection: str | None,
    view: CapacityView | None,
    *,
    readable: AbstractSet[str],
    find: str,
    limit: int,
) -> Answer:
    """
    Return the answer.

    :param connection: id of the connection it is about; None if there is none.
    :param view: what is known of it; None if there is none.
    :param readable: ids of the DAGs that the user may read.
    :param find: what the DAG, task or run of the waits shown is to contain.
    :param limit: how many waits and jobs to list at most.
    """
    capacity = view.capacity if view else None
    return {
        "now": time.time(),
        "connections": seen.connections,
        "connection": connection,
        "taken_at": view.taken_at if view else None,
        "trouble": view.trouble if view else None,
        "capacity": _room(view, capacity, readable, limit) if view and capacity else None,
        "waits": _waits(
            seen.queues.get(connection or "", []),
            seen.looking.get(connection or "", []),
            capacity,
            readable=readable,
            find=find.strip().casefold(),
            limit=limit,
        ),
        "triggerers": seen.triggerers,
    }


def _room(view: CapacityView, capacity: Capacity, readable: AbstractSet[str], limit: int) -> Room:
    taken_at = view.taken_at or 0.0
    oldest_first = sorted(
        (_job(job, taken_at, readable) for job in capacity.executing),
        key=lambda job: -math.inf if job["age_seconds"] is None else job["age_seconds"],
        reverse=True,
    )
    return {
        "free": capacity.free_slots(),
        "total": capacity.total_slots(),
        "accounts": _accounts(capacity, view.account_errors),
        "executing_total": len(oldest_first),
        "executing": oldest_first[:limit],
    }


def _accounts(capacity: Capacity, errors: Mapping[str, str]) -> list[Account]:
    listed: list[Account] = [
        {
            "email": account.email,
            "total": account.total,
            "executing": account.total - account.available,
            "free": account.available,
            "error": errors.get(email_key(account.email)),
        }
        for account in capacity.accounts
    ]
    # The service may not list what has no capacity.
    missing = errors.keys() - {email_key(account.email) for account in capacity.accounts}
    return listed + [
        {"email": email, "total": 0, "executing": 0, "free": 0, "error": errors[email]}
        for email in sorted(missing)
    ]


def _job(job: ExecutingJob, taken_at: float, readable: AbstractSet[str]) -> Job:
    task = task_name_of(job.reply_ref)
    is_readable = task is not None and task.dag_id in readable
    age = job.age(datetime.fromtimestamp(taken_at, UTC))
    started = job.started_at
    return {
        "id": short_job_id(job.id),
        "type": harmless(job.type),
        "email": job.email,
        "started": started.timestamp() if started else None,
        "age_seconds": None if age is None else max(0.0, age.total_seconds()),
        "task": {
            "dag_id": task.dag_id,
            "run_id": task.run_id,
            "task_id": task.task_id,
            "map_index": task.map_index,
        }
        if task and is_readable
        else None,
        "mine": is_of_a_task(job.reply_ref),
    }


def _waits(
    queue: Sequence[WaitingTask],
    looking: Sequence[WaitingTask],
    capacity: Capacity | None,
    *,
    readable: AbstractSet[str],
    find: str,
    limit: int,
) -> Waits:
    places: list[tuple[int | None, WaitingTask]] = [*enumerate(queue, 1), *((None, task) for task in looking)]
    visible = [(place, task) for place, task in places if task.dag_id in readable]
    found = [(place, task) for place, task in visible if not find or _matches(task, find)]
    too_large = [(place, task) for place, task in visible if _is_too_large(task, capacity)]
    return {
        "total": len(places),
        "hidden": len(places) - len(visible),
        "found": len(found),
        "longest_since": min((task.since for _, task in places if task.since is not None), default=None),
        "shown": [_wait(place, task) for place, task in found[:limit]],
        "too_large": [_wait(place, task) for place, task in too_large[:_MAX_TOO_LARGE]],
    }


def _matches(task: WaitingTask, find: str) -> bool:
    return any(find in name.casefold() for name in (task.dag_id, task.task_id, task.run_id))


def _is_too_large(task: WaitingTask, capacity: Capacity | None) -> bool:
    if capacity is None or task.slots is None:
        return False
    return capacity.total_slots(task.emails) < task.slots


def _wait(place: int | None, task: WaitingTask) -> Wait:
    return {
        "place": place,
        "dag_id": task.dag_id,
        "run_id": task.run_id,
        "task_id": task.task_id,
        "map_index": task.map_index,
        "slots": task.slots,
        "emails": task.emails,
        "since": task.since,
        "times_out_at": task.times_out_at,
        "mode": task.mode,
    }
