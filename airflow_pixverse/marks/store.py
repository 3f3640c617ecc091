"""
MarkStore: where the marks of a task instance are kept.

=============  =====================  ======================================================================
Airflow        store                  how marks end
=============  =====================  ======================================================================
3.3 and later  task state store       dropped after success; else with the DAG run
3.0 to 3.2     an Airflow Variable    dropped after success; else they stay until somebody deletes them
               for each try
2.11           audit log              never: a log is history
=============  =====================  ======================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from airflow_pixverse.capabilities import HAS_TASK_STATE_STORE, WORKERS_HAVE_DATABASE

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_pixverse.marks.mark import Mark


class MarkStore(Protocol):
    """Where the marks of one task instance are kept. For a worker, since every call blocks."""

    def read_all(self) -> list[Mark]:
        """
        Return the marks of all tries in this life of the task instance, oldest try first.

        Those from before a clear are left out.

        :raises MarkUnreadableError: a mark cannot be read or understood, or the one that was written is gone.
        """

    def write(self, mark: Mark) -> None:
        """
        Set the mark of this try, and read it back.

        :raises MarkNotWrittenError: it was refused, or is not there afterwards.
        """

    def drop(self) -> None:
        """Remove all marks of the task instance, after its success. Trouble is logged, never raised."""

    def check_still_running(self) -> None:
        """
        Look whether Airflow has given this try up, as far as it says.

        :raises TryNotRunningError: it has.
        :raises TryStateUnknownError: it could not be asked.
        """


class NoMarks:
    """A :class:`MarkStore` that remembers nothing, for a task that is not durable."""

    def read_all(self) -> list[Mark]:
        """Return no marks."""
        return []

    def write(self, mark: Mark) -> None:
        """Forget the mark."""

    def drop(self) -> None:
        """Drop nothing."""

    def check_still_running(self) -> None:
        """Take the try for the running one."""


def mark_store_of(context: Context) -> MarkStore:
    """
    Return the store of the task instance that runs in a context, as the installed Airflow has it.

    :param context: the context of ``execute``, or of a callback on the same worker.
    """
    if HAS_TASK_STATE_STORE:
        from airflow_pixverse.marks.task_state_marks import TaskStateMarks

        return TaskStateMarks(context)
    if WORKERS_HAVE_DATABASE:
        from airflow_pixverse.marks.audit_log_marks import AuditLogMarks

        return AuditLogMarks(context)
    from airflow_pixverse.marks.variable_marks import VariableMarks

    return VariableMarks(context)
