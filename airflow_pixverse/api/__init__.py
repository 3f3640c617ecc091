"""
The useapi.net PixVerse API itself; nothing in here knows Airflow.

::

    from airflow_pixverse.api import PixverseClient

    with PixverseClient(token) as client:
        print(client.get_capacity().free_slots())
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_pixverse.api.accounts import Account, Features
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.errors import (
        PixverseAuthError,
        PixverseError,
        PixverseFatalError,
        PixverseJobFailedError,
        PixverseJobModeratedError,
        PixverseLinkExpiredError,
        PixverseNoConnectionError,
        PixverseRateLimitError,
        PixverseTransientError,
        PixverseUnknownOutcomeError,
    )
    from airflow_pixverse.api.job_id import JobId, parse_job_id
    from airflow_pixverse.api.models import AccountCapacity, Capacity, ExecutingJob
    from airflow_pixverse.api.results import JobResult, ResultPage
    from airflow_pixverse.api.submission import Submission

__all__ = [
    "Account",
    "AccountCapacity",
    "Capacity",
    "ExecutingJob",
    "Features",
    "JobId",
    "JobResult",
    "PixverseAuthError",
    "PixverseClient",
    "PixverseError",
    "PixverseFatalError",
    "PixverseJobFailedError",
    "PixverseJobModeratedError",
    "PixverseLinkExpiredError",
    "PixverseNoConnectionError",
    "PixverseRateLimitError",
    "PixverseTransientError",
    "PixverseUnknownOutcomeError",
    "ResultPage",
    "Submission",
    "parse_job_id",
]

_MODULES = {
    "Account": "accounts",
    "AccountCapacity": "models",
    "Capacity": "models",
    "ExecutingJob": "models",
    "Features": "accounts",
    "JobId": "job_id",
    "JobResult": "results",
    "PixverseClient": "client",
    "ResultPage": "results",
    "Submission": "submission",
    "parse_job_id": "job_id",
}


def __getattr__(name: str) -> Any:
    # Imported at first use: the errors are needed wherever DAGs are parsed, requests and pydantic are not.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
