"""
The journal of a task's submits, so that a retry never submits a second job.

A :class:`SubmitRecord` is written before the POST and after it. It stays through retries and clears until
the task has succeeded. :func:`journal_of` returns the journal that the installed Airflow has.
"""

from airflow_pixverse.journal.errors import (
    JournalError,
    RecordNotWrittenError,
    RecordUnreadableError,
    TryNotRunningError,
    TryStateUnknownError,
)
from airflow_pixverse.journal.journal import (
    Journal,
    NoJournal,
    SubmitJournal,
    add_drop_callback,
    drop_records,
    journal_of,
)
from airflow_pixverse.journal.records import (
    OnClear,
    SubmitHistory,
    SubmitRecord,
    TaskTry,
    concurrent_attempt,
    last_of_each,
)

__all__ = [
    "Journal",
    "JournalError",
    "NoJournal",
    "OnClear",
    "RecordNotWrittenError",
    "RecordUnreadableError",
    "SubmitHistory",
    "SubmitJournal",
    "SubmitRecord",
    "TaskTry",
    "TryNotRunningError",
    "TryStateUnknownError",
    "add_drop_callback",
    "concurrent_attempt",
    "drop_records",
    "journal_of",
    "last_of_each",
]
