"""What the ``replyRef`` of a task's submits begins with, the name of the task, and who it was from that."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from airflow_pixverse.api.reply_ref import MAX_PREFIX, prefix_of

if TYPE_CHECKING:
    from airflow_pixverse.marks.task_try import TaskTry

_SCHEME = "airflow:"
_NAMES = re.compile(r"airflow:(?P<dag>[^/]+)/(?P<run>[^/]+)/(?P<task>[^/]+)/(?P<index>-1|[0-9]{1,9})")
_DIGEST = re.compile(r"airflow:[0-9a-f]{64}")


class TaskName(NamedTuple):
    """The names of a task; the index is -1 if it is not mapped."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


def task_prefix(task: TaskTry) -> str:
    """
    Return ``airflow:dag/run/task/index``, percent-encoded; the index is -1 if the task is not mapped.

    Where that is too long for the API, it is a digest of it.
    """
    parts = (task.dag_id, task.run_id, task.task_id, str(task.map_index))
    prefix = _SCHEME + "/".join(quote(part, safe="") for part in parts)
    if len(prefix) <= MAX_PREFIX:
        return prefix
    return _SCHEME + hashlib.sha256(prefix.encode()).hexdigest()


def is_of_a_task(reply_ref: str | None) -> bool:
    """Return whether a ``replyRef`` was made by a task of this package, here or in another Airflow."""
    prefix = prefix_of(reply_ref)
    return bool(_NAMES.fullmatch(prefix) or _DIGEST.fullmatch(prefix))


def task_name_of(reply_ref: str | None) -> TaskName | None:
    """
    Return the names of the task that made a ``replyRef``, the inverse of :func:`task_prefix`.

    None where it tells none: it is somebody else's, or only a digest of them.
    """
    match = _NAMES.fullmatch(prefix_of(reply_ref))
    if match is None:
        return None
    dag_id, run_id, task_id = map(unquote, match.group("dag", "run", "task"))
    return TaskName(dag_id, run_id, task_id, int(match["index"]))
