"""AuditLogJournal: records in Airflow's audit log (Airflow 2.11)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_pixverse.journal.journal import Key, SubmitJournal

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

EVENT = "pixverse_submit"
"""The name under which records are in the audit log."""

# Under "dag.test()" a task stays "scheduled" while it runs. A later try, also one that is only scheduled, has
# another number.
_RUNNING = {"running", "scheduled"}


class AuditLogJournal(SubmitJournal):
    """
    Records in the audit log: the last entry of each submit is its record.

    They are written in a session of their own, so that they are in the database before the POST whatever the
    task's own session does. Nothing is ever dropped: a log is history, and success callbacks run before
    Airflow commits the success, so that a worker that dies in between would have lost its record. Instead,
    the records of tries up to the last success are left out, which Airflow remembers when the task is
    cleared.

    :param context: the context of the task instance.
    """

    place = "Airflow's audit log"

    def _read_all(self) -> Mapping[Key, object]:
        from airflow.models.log import Log

        with _session() as session:
            rows = (
                session.query(Log.try_number, Log.extra)
                .filter(Log.event == EVENT, *self._is_of_this_instance(Log))
                .filter(Log.try_number > self._last_success(session))
                .order_by(Log.id)
            )
            entries: dict[Any, dict[str, object]] = defaultdict(dict)
            for try_number, text in rows:
                entries[try_number][_reference(text)] = text
        return {
            Key(try_number, number): text
            for try_number, texts in entries.items()
            for number, text in enumerate(texts.values(), start=1)
        }

    def _read(self, key: Key) -> object:
        return self._read_all().get(key)

    def _write(self, key: Key, text: str) -> None:
        from airflow.models.log import Log

        entry = Log(
            EVENT,
            dag_id=self._try.dag_id,
            run_id=self._try.run_id,
            task_id=self._try.task_id,
            map_index=self._try.map_index,
            try_number=key.try_number,
            extra=text,
        )
        with _session() as session, session.begin():
            session.add(entry)

    def _drop(self) -> None:
        """Keep the log as it is."""

    def _name(self, key: Key) -> str:
        return f"entry {EVENT!r} of try {key.try_number}"

    def _state(self) -> str | None:
        return self._instance()[0]

    def _is_running(self) -> bool:
        state, try_number = self._instance()
        return state in _RUNNING and try_number == self._try.try_number

    def _instance(self) -> tuple[str | None, int | None]:
        """Return the state and the try number that Airflow gives the task instance."""
        from airflow.models.taskinstance import TaskInstance

        with _session() as session:
            row = (
                session.query(TaskInstance.state, TaskInstance.try_number)
                .filter(*self._is_of_this_instance(TaskInstance))
                .one_or_none()
            )
        return (None, None) if row is None else (row.state, row.try_number)

    def _last_success(self, session: Session) -> int:
        """Return the last try that had succeeded when the task was cleared; 0 if none had."""
        from airflow.models.taskinstancehistory import TaskInstanceHistory
        from sqlalchemy import func

        last = (
            session.query(func.max(TaskInstanceHistory.try_number))
            .filter(*self._is_of_this_instance(TaskInstanceHistory), TaskInstanceHistory.state == "success")
            .scalar()
        )
        return last or 0

    def _is_of_this_instance(self, table: Any) -> list[Any]:
        return [
            table.dag_id == self._try.dag_id,
            table.run_id == self._try.run_id,
            table.task_id == self._try.task_id,
            table.map_index == self._try.map_index,
        ]


def _reference(text: Any) -> str:
    """Return the submit that an entry is about; the text itself where it cannot be understood."""
    try:
        return str(json.loads(text)["reference"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return str(text)


def _session() -> Session:
    """Return a new session; Airflow's ``create_session()`` would share the one of the task's thread."""
    from airflow import settings
    from sqlalchemy.orm import Session

    return Session(settings.engine)
