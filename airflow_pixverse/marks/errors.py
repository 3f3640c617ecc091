"""
What can be wrong with marks. All are plain exceptions, so that Airflow retries the task.

::

    MarkError
    ├── MarkUnreadableError    it cannot be known what was submitted
    ├── MarkNotWrittenError    a mark was refused, or is not there after it was written
    ├── TryNotRunningError     Airflow has given this try up
    └── TryStateUnknownError   Airflow does not say whether it has
"""

from __future__ import annotations


class MarkError(Exception):
    """Something is wrong with the marks of a task instance."""


class MarkUnreadableError(MarkError):
    """There may be a mark, but it cannot be read or understood. It must never be taken for "no mark"."""


class MarkNotWrittenError(MarkError):
    """A mark was refused, or is not there after it was written."""


class TryNotRunningError(MarkError):
    """This try is not the running one any more, so it may not submit."""


class TryStateUnknownError(MarkError):
    """Airflow could not be asked whether this try is still the running one."""


def reason(error: Exception) -> str:
    """Return what kind of error Airflow raised, in a few words; its own text goes with it as the cause."""
    response = getattr(error, "error", None)  # of Airflow's supervisor
    kind = getattr(response, "error", None)
    detail = getattr(response, "detail", None)
    status = detail.get("status_code") if isinstance(detail, dict) else None
    name = str(getattr(kind, "value", type(error).__name__))
    return f"{name}, HTTP status {status}" if status else name
