"""What the ``replyRef`` of a task's submits begins with: the name of the task."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_pixverse.api.reply_ref import MAX_PREFIX

if TYPE_CHECKING:
    from airflow_pixverse.marks.task_try import TaskTry


def task_prefix(task: TaskTry) -> str:
    """
    Return ``airflow:dag/run/task/index``, percent-encoded; the index is -1 if the task is not mapped.

    Where that is too long for the API, it is a digest of it.
    """
    parts = (task.dag_id, task.run_id, task.task_id, str(task.map_index))
    prefix = "airflow:" + "/".join(quote(part, safe="") for part in parts)
    if len(prefix) <= MAX_PREFIX:
        return prefix
    return "airflow:" + hashlib.sha256(prefix.encode()).hexdigest()
