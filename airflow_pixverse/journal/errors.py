"""
Errors of the journal. All are neither fatal nor transient, so that Airflow retries the task.

::

    JournalError
    ├── RecordUnreadableError    it is unknown what was submitted
    ├── RecordNotWrittenError    a record was refused, or is missing after the write
    ├── TryNotRunningError       Airflow has given this try up
    └── TryStateUnknownError     Airflow does not say whether it has
"""

from __future__ import annotations

from airflow_pixverse.api.errors import PixverseError


class JournalError(PixverseError):
    """The journal of a task instance cannot be read or written."""


class RecordUnreadableError(JournalError):
    """A record cannot be read or understood. It must never be taken for "no record"."""


class RecordNotWrittenError(JournalError):
    """A record was refused, or is missing after the write."""


class TryNotRunningError(JournalError):
    """This try is not the running one any more, so it may not submit."""


class TryStateUnknownError(JournalError):
    """Airflow did not say whether this try is still the running one."""


def reason(error: Exception) -> str:
    """Return the kind of an error of Airflow in a few words; its own text goes with it as the cause."""
    response = getattr(error, "error", None)  # of Airflow's supervisor
    kind = getattr(response, "error", None)
    detail = getattr(response, "detail", None)
    status = detail.get("status_code") if isinstance(detail, dict) else None
    name = str(getattr(kind, "value", type(error).__name__))
    return f"{name}, HTTP status {status}" if status else name
