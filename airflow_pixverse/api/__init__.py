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
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.errors import (
        PixverseAuthError,
        PixverseError,
        PixverseFatalError,
        PixverseRateLimitError,
        PixverseTransientError,
    )
    from airflow_pixverse.api.models import AccountCapacity, Capacity, ExecutingJob

__all__ = [
    "AccountCapacity",
    "Capacity",
    "ExecutingJob",
    "PixverseAuthError",
    "PixverseClient",
    "PixverseError",
    "PixverseFatalError",
    "PixverseRateLimitError",
    "PixverseTransientError",
]


def __getattr__(name: str) -> Any:
    # Imported at first use: the errors are needed wherever DAGs are parsed, requests and pydantic are not.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "errors" if name.endswith("Error") else "client" if name == "PixverseClient" else "models"
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
