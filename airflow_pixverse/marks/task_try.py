"""TaskTry: which try of which task instance this process runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


@dataclass(frozen=True)
class TaskTry:
    """
    One try of a task instance.

    :param map_index: -1 unless the task is mapped.
    :param try_number: counts on through retries and clears.
    :param max_tries: the number of retries that are left to it, counted from the first try ever.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    max_tries: int

    @classmethod
    def of(cls, context: Context) -> TaskTry:
        """Return the try that runs in a context."""
        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index
        return cls(ti.dag_id, ti.run_id, ti.task_id, map_index, ti.try_number, ti.max_tries)

    @property
    def all_tries(self) -> Iterable[int]:
        """The numbers of all tries that there may have been or may be, without a further clear."""
        return range(1, max(self.try_number, self.max_tries + 1) + 1)

    @property
    def digest(self) -> str:
        """A name of the task instance that is short, whatever the ids are, and the same in each try."""
        instance = json.dumps([self.dag_id, self.run_id, self.task_id, self.map_index])
        return hashlib.sha256(instance.encode()).hexdigest()[:40]

    def __str__(self) -> str:
        mapped = "" if self.map_index < 0 else f"[{self.map_index}]"
        return f"task {self.task_id}{mapped} in run {self.run_id} of DAG {self.dag_id}"
