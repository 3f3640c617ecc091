"""DAG runs as Airflow's own database (SQLite) has them, read without going through Airflow."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple


class DagRun(NamedTuple):
    """The key of a DAG run."""

    dag_id: str
    run_id: str


@dataclass(frozen=True)
class TaskInstance:
    """A task instance at one moment; ``xcom`` is what it returned."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    start_date: datetime | None
    end_date: datetime | None
    xcom: Any = None

    @property
    def ended(self) -> tuple[str | None, int]:
        """The state, and the number of the try."""
        return self.state, self.try_number


class Outcome(list[TaskInstance]):
    """The task instances of a DAG run, in the order of task id and map index."""

    def task(self, task_id: str) -> TaskInstance:
        """Return the instance of a task that is not mapped."""
        [instance] = self.mapped(task_id)
        return instance

    def mapped(self, task_id: str) -> list[TaskInstance]:
        """Return the instances of a task, in the order of the map index."""
        return [instance for instance in self if instance.task_id == task_id]


class Metadata:
    """
    The metadata database, read-only.

    :param path: the SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def run_state(self, run: DagRun) -> str | None:
        """Return the state of a DAG run."""
        rows = self._query("select state from dag_run where dag_id = ? and run_id = ?", *run)
        return rows[0]["state"] if rows else None

    def runs(self, dag_id: str) -> list[str]:
        """Return the ids of all runs of a DAG."""
        return [row["run_id"] for row in self._query("select run_id from dag_run where dag_id = ?", dag_id)]

    def outcome(self, run: DagRun) -> Outcome:
        """Return all task instances of a DAG run, as they are now."""
        xcoms = {
            (row["task_id"], row["map_index"]): json.loads(row["value"])
            for row in self._query(
                "select task_id, map_index, value from xcom"
                " where dag_id = ? and run_id = ? and key = 'return_value'",
                *run,
            )
        }
        rows = self._query(
            "select * from task_instance where dag_id = ? and run_id = ? order by task_id, map_index", *run
        )
        return Outcome(
            TaskInstance(
                row["task_id"],
                row["map_index"],
                row["state"],
                row["try_number"],
                _moment(row["start_date"]),
                _moment(row["end_date"]),
                xcoms.get((row["task_id"], row["map_index"])),
            )
            for row in rows
        )

    def worker_runs(self, run: DagRun) -> Counter[tuple[str, int]]:
        """
        Return how many times a worker process ran each task instance, by task id and map index.

        It is read from the audit log. A listener would not do: where there is one, Airflow 3
        imports no DAG with ``end_from_trigger``.
        """
        rows = self._query(
            "select task_id, map_index from log where dag_id = ? and run_id = ? and event = 'running'", *run
        )
        return Counter((row["task_id"], row["map_index"]) for row in rows)

    def last_job_start(self, job_type: str) -> datetime | None:
        """Return when the newest running component of a kind (``SchedulerJob``, ...) was started."""
        rows = self._query(
            "select max(start_date) as began from job where job_type = ? and state = 'running'", job_type
        )
        return _moment(rows[0]["began"])

    def last_job_id(self, job_type: str) -> int | None:
        """Return the job id of the component of a kind that was started last."""
        newest: int | None = self._query("select max(id) as id from job where job_type = ?", job_type)[0][
            "id"
        ]
        return newest

    def dag_files(self) -> set[Path]:
        """Return the files in which DAGs were found."""
        return {Path(row["fileloc"]) for row in self._query("select fileloc from dag")}

    def import_errors(self) -> list[str]:
        """Return why DAG files could not be imported."""
        return [row["stacktrace"] for row in self._query("select stacktrace from import_error")]

    def _query(self, statement: str, *parameters: object) -> list[sqlite3.Row]:
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=60)) as database:
            database.row_factory = sqlite3.Row
            return database.execute(statement, parameters).fetchall()


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
