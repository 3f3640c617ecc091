"""
Marks: where a task notes what it has submitted, so that a retry never submits a second job.

A :class:`Mark` is written before the POST and after it. A retry keeps the marks of the tries before it, a
clear begins a new life without them. Where they are kept depends on the version of Airflow (``store``).
"""

from airflow_pixverse.marks.callbacks import add_drop_callback, drop_marks
from airflow_pixverse.marks.errors import (
    MarkError,
    MarkNotWrittenError,
    MarkUnreadableError,
    TryNotRunningError,
    TryStateUnknownError,
)
from airflow_pixverse.marks.mark import Mark, rival_of
from airflow_pixverse.marks.store import MarkStore, NoMarks, mark_store_of

__all__ = [
    "Mark",
    "MarkError",
    "MarkNotWrittenError",
    "MarkStore",
    "MarkUnreadableError",
    "NoMarks",
    "TryNotRunningError",
    "TryStateUnknownError",
    "add_drop_callback",
    "drop_marks",
    "mark_store_of",
    "rival_of",
]
