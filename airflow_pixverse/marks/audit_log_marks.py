"""AuditLogMarks: marks in Airflow's audit log (Airflow 2.11)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_pixverse.marks.stored_marks import StoredMarks

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

EVENT = "pixverse_submit"
"""The name under which marks are in the audit log."""

# Under "dag.test()" a task stays "scheduled" while it runs. A later try, also one that is only scheduled, has
# another number.
_RUNNING = {"running", "scheduled"}


class AuditLogMarks(StoredMarks):
    """
    Marks in the audit log: the last entry of each try is its mark.

    They are written in a session of their own, so that they are in the database before the POST whatever the
    task's own session does. Nothing is ever dropped: a log is history, and success callbacks run before
    Airflow commits the success, so that a worker that dies in between would have lost its mark.

    :param context: the context of the task instance.
    """

    place = "Airflow's audit log"

    def _read(self, tries: Iterable[int]) -> Mapping[int, object]:
        from airflow.models.log import Log

        with _session() as session:
            rows = (
                session.query(Log.try_number, Log.extra)
                .filter(Log.event == EVENT, *self._is_of_this_instance(Log), Log.try_number.in_(list(tries)))
                .order_by(Log.id)
            )
            return {row.try_number: row.extra for row in rows}

    def _write(self, try_number: int, text: str) -> None:
        from airflow.models.log import Log

        entry = Log(
            EVENT,
            dag_id=self._try.dag_id,
            run_id=self._try.run_id,
            task_id=self._try.task_id,
            map_index=self._try.map_index,
            try_number=try_number,
            extra=text,
        )
        with _session() as session, session.begin():
            session.add(entry)

    def _drop(self, tries: Iterable[int]) -> None:
        """Keep the log as it is."""

    def _name(self, try_number: int) -> str:
        return f"entry {EVENT!r} of try {try_number}"

    def _is_running(self) -> bool:
        from airflow.models.taskinstance import TaskInstance

        with _session() as session:
            row = (
                session.query(TaskInstance.state, TaskInstance.try_number)
                .filter(*self._is_of_this_instance(TaskInstance))
                .one_or_none()
            )
        return row is not None and row.state in _RUNNING and row.try_number == self._try.try_number

    def _is_of_this_instance(self, table: Any) -> list[Any]:
        return [
            table.dag_id == self._try.dag_id,
            table.run_id == self._try.run_id,
            table.task_id == self._try.task_id,
            table.map_index == self._try.map_index,
        ]


def _session() -> Session:
    """Return a new session; Airflow's ``create_session()`` would share the one of the task's thread."""
    from airflow import settings
    from sqlalchemy.orm import Session

    return Session(settings.engine)
