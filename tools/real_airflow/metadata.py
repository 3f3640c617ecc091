"""DAG runs as Airflow's own database has them, read without going through Airflow."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy.pool import NullPool


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


# The tables that queries select from: without the tries that are over, and named as up to Airflow 3.3.
_TABLES = """
    with live_task_instance as (select * from task_instance),
    live_xcom as (select * from xcom)
"""
# From Airflow 3.4 on, each try is a row of its own, and a task of a mapped one has a place in a region.
_TABLES_OF_TRIES = """
    with live_task_instance as (select *, region_index as map_index from task_instance where working_set),
    live_xcom as (
        select dag_id, run_id, task_id, map_index, key, value, timestamp
        from xcom_v2 join live_task_instance on live_task_instance.id = xcom_v2.task_instance_id
    )
"""


class Metadata:
    """
    The metadata database.

    :param url: its URL, for SQLAlchemy.
    """

    def __init__(self, url: str) -> None:
        # JSON as the text that it is: what a driver makes of it differs between databases.
        as_text = {"json_deserializer": str}
        # No pool: a connection that is kept would keep PostgreSQL from ending.
        self._engine = sqlalchemy.create_engine(url, poolclass=NullPool, **as_text)

    def run_state(self, run: DagRun) -> str | None:
        """Return the state of a DAG run."""
        rows = self.query(
            "select state from dag_run where dag_id = :dag_id and run_id = :run_id", **_key(run)
        )
        return rows[0]["state"] if rows else None

    def run_seconds(self, run: DagRun) -> float:
        """Return how long a DAG run took that is over, from the moment that it was made."""
        [row] = self.query(
            "select queued_at, end_date from dag_run where dag_id = :dag_id and run_id = :run_id", **_key(run)
        )
        began, ended = (datetime.fromisoformat(str(row[name])) for name in ("queued_at", "end_date"))
        return (ended - began).total_seconds()

    def runs(self, dag_id: str) -> list[str]:
        """Return the ids of all runs of a DAG."""
        rows = self.query("select run_id from dag_run where dag_id = :dag_id", dag_id=dag_id)
        return [row["run_id"] for row in rows]

    def outcome(self, run: DagRun) -> Outcome:
        """Return all task instances of a DAG run, as they are now."""
        rows = self.query(
            "select * from live_task_instance where dag_id = :dag_id and run_id = :run_id"
            " order by task_id, map_index",
            **_key(run),
        )
        # Afterwards: what a task has pushed is there by the time it has ended.
        xcoms = self.xcoms(run)
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

    def xcoms(self, run: DagRun, key: str = "return_value") -> dict[tuple[str, int], Any]:
        """Return what the task instances of a DAG run pushed under a key, by task id and map index."""
        rows = self.query(
            "select task_id, map_index, value from live_xcom"
            " where dag_id = :dag_id and run_id = :run_id and key = :key",
            **_key(run),
            key=key,
        )
        return {(row["task_id"], row["map_index"]): _parsed(row["value"]) for row in rows}

    def task_pid(self, run: DagRun, task_id: str, map_index: int = -1) -> int | None:
        """Return the process in which a task instance runs; None while it does not run."""
        rows = self.query(
            "select pid from live_task_instance where dag_id = :dag_id and run_id = :run_id"
            " and task_id = :task_id and map_index = :map_index and state = 'running'",
            **_key(run),
            task_id=task_id,
            map_index=map_index,
        )
        return rows[0]["pid"] if rows else None

    def running_pids(self, run: DagRun) -> list[int | None]:
        """Return the process of each task instance that a worker runs, None where it has not told yet."""
        rows = self.query(
            "select pid from live_task_instance"
            " where dag_id = :dag_id and run_id = :run_id and state = 'running' order by start_date",
            **_key(run),
        )
        return [row["pid"] for row in rows]

    def triggerers(self, run: DagRun) -> dict[tuple[str, int], int | None]:
        """Return the job id of the triggerer that has each deferred task instance, None while no one does."""
        rows = self.query(
            "select task_id, map_index, triggerer_id from live_task_instance"
            ' join "trigger" on "trigger".id = live_task_instance.trigger_id'
            " where dag_id = :dag_id and run_id = :run_id and state = 'deferred'",
            **_key(run),
        )
        return {(row["task_id"], row["map_index"]): row["triggerer_id"] for row in rows}

    def worker_runs(self, run: DagRun) -> Counter[tuple[str, int]]:
        """
        Return how many times a worker process ran each task instance, by task id and map index.

        It is read from the audit log. A listener would not do: where there is one, Airflow 3
        imports no DAG with ``end_from_trigger``.
        """
        return Counter((row["task_id"], row["map_index"]) for row in self.audit(run, "running"))

    def audit(self, run: DagRun, event: str) -> list[dict[str, Any]]:
        """Return the rows of the audit log about a DAG run that have this event, the oldest first."""
        return self.query(
            "select * from log where dag_id = :dag_id and run_id = :run_id and event = :event order by id",
            **_key(run),
            event=event,
        )

    def job_starts(self, job_type: str) -> list[datetime]:
        """Return when the running components of a kind (``SchedulerJob``, ...) were started."""
        rows = self.query(
            "select start_date from job where job_type = :job_type and state = 'running'", job_type=job_type
        )
        return [began for row in rows if (began := _moment(row["start_date"]))]

    def last_job_id(self, job_type: str) -> int | None:
        """Return the job id of the component of a kind that was started last."""
        rows = self.query("select max(id) as id from job where job_type = :job_type", job_type=job_type)
        newest: int | None = rows[0]["id"]
        return newest

    def ports_in_transaction(self) -> set[int]:
        """Return the ports of those who are in the middle of a transaction; this is for PostgreSQL."""
        rows = self.query("select client_port from pg_stat_activity where xact_start is not null")
        return {row["client_port"] for row in rows}

    def dag_files(self) -> set[Path]:
        """Return the files in which DAGs were found."""
        return {Path(row["fileloc"]) for row in self.query("select fileloc from dag")}

    def import_errors(self) -> list[str]:
        """Return why DAG files could not be imported."""
        return [row["stacktrace"] for row in self.query("select stacktrace from import_error")]

    def tables(self) -> set[str]:
        """Return the names of all tables."""
        return set(sqlalchemy.inspect(self._engine).get_table_names())

    def query(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        """
        Return the rows that a statement selects, by column.

        :param statement: SQL that SQLite and PostgreSQL both know, with ``:name`` for a parameter. The tables
            ``live_task_instance`` and ``live_xcom`` are the same on every version of Airflow.
        """
        tables = _TABLES_OF_TRIES if self._has_tries else _TABLES
        with self._engine.connect() as connection:
            rows = connection.execute(sqlalchemy.text(tables + statement), parameters).mappings()
            return [dict(row) for row in rows]

    def execute(self, statement: str) -> None:
        """Run a statement that changes the database, such as one that makes a trigger of it."""
        with self._engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement))

    @cached_property
    def _has_tries(self) -> bool:
        return "xcom_v2" in self.tables()


def _key(run: DagRun) -> dict[str, str]:
    return run._asdict()


def _parsed(value: str | bytes | memoryview | float) -> Any:
    # SQLite makes a number of JSON that is nothing but a number.
    if isinstance(value, int | float):
        return value
    # Airflow 2 keeps bytes, for which the driver of PostgreSQL hands over a view of them.
    return json.loads(value if isinstance(value, str) else bytes(value))


def _moment(value: str | datetime | None) -> datetime | None:
    # SQLite has no type for moments: they come as text, in UTC.
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value
