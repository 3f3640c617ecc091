"""The ``replyRef`` of a submit: who submits, and a part that no other submit has."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_pixverse.parameters import MAX_REPLY_REF

if TYPE_CHECKING:
    from airflow_pixverse.marks.task_try import TaskTry

_SEPARATOR = "#"
_RANDOM_BYTES = 12  # which make 16 characters


def new_random_part() -> str:
    """Return what tells a submit from all others: staging and production may share names and a token."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def task_prefix(task: TaskTry) -> str:
    """Return ``airflow:dag/run/task/index``, percent-encoded; the index is -1 if the task is not mapped."""
    parts = (task.dag_id, task.run_id, task.task_id, str(task.map_index))
    prefix = "airflow:" + "/".join(quote(part, safe="") for part in parts)
    if len(prefix) <= MAX_REPLY_REF:
        return prefix
    return "airflow:" + hashlib.sha256(prefix.encode()).hexdigest()


def reply_ref(prefix: str, random_part: str) -> str:
    """Return the whole ``replyRef``."""
    return f"{prefix}{_SEPARATOR}{random_part}"
