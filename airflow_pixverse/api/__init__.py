"""
The client of the useapi.net PixVerse API. It knows nothing of Airflow.

::

    from airflow_pixverse.api import PixverseClient

    with PixverseClient(token) as client:
        print(client.get_capacity().free_slots())
"""

import importlib
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import (
    PixverseAccessError,
    PixverseAuthError,
    PixverseError,
    PixverseFatalError,
    PixverseJobFailedError,
    PixverseJobModeratedError,
    PixverseLinkExpiredError,
    PixverseNoConnectionError,
    PixverseNoResultError,
    PixverseRateLimitError,
    PixverseTransientError,
    PixverseUnknownOutcomeError,
)

if TYPE_CHECKING:
    from airflow_pixverse.api.accounts import Account, Features
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.kinds import JobId, split_job_id
    from airflow_pixverse.api.results import JobResult, ResultPage
    from airflow_pixverse.api.scheduler import AccountCapacity, Capacity, ExecutingJob
    from airflow_pixverse.api.submission import Submission
    from airflow_pixverse.api.uploads import Upload

__all__ = [
    "Account",
    "AccountCapacity",
    "Capacity",
    "ExecutingJob",
    "Features",
    "JobId",
    "JobResult",
    "PixverseAccessError",
    "PixverseAuthError",
    "PixverseClient",
    "PixverseError",
    "PixverseFatalError",
    "PixverseJobFailedError",
    "PixverseJobModeratedError",
    "PixverseLinkExpiredError",
    "PixverseNoConnectionError",
    "PixverseNoResultError",
    "PixverseRateLimitError",
    "PixverseTransientError",
    "PixverseUnknownOutcomeError",
    "ResultPage",
    "Submission",
    "Upload",
    "split_job_id",
]

# Imported at first use: the errors are needed wherever DAGs are parsed, requests and pydantic are not.
_LAZY = {
    "accounts": ("Account", "Features"),
    "client": ("PixverseClient",),
    "kinds": ("JobId", "split_job_id"),
    "results": ("JobResult", "ResultPage"),
    "scheduler": ("AccountCapacity", "Capacity", "ExecutingJob"),
    "submission": ("Submission",),
    "uploads": ("Upload",),
}


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
