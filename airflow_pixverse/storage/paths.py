"""Paths in object storage, as users write them: ``s3://bucket/folder/``, ``file:///data/folder/``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_pixverse.storage.errors import StorageError, storage_errors

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

_URI = re.compile(r"(?!https?:)[A-Za-z][A-Za-z0-9+.-]*://[^\x00-\x1f]*[^/\x00-\x1f].*", re.IGNORECASE)
# With two slashes, a local path begins in the folder that the worker happens to run in.
_RELATIVE = re.compile(r"(?:file|local)://(?!/|[^/]*@/)", re.IGNORECASE)
# A template rendered to nothing; some stores would take the first folder for the bucket.
_NO_BUCKET = re.compile(r"(?:s3a?|gc?s)://(?:[^/]*@)?/", re.IGNORECASE)
# Characters that stores take for a pattern where a path is copied.
_WILDCARDS = re.compile(r"[*?\[\]]")


def is_storage_uri(value: object) -> bool:
    """Return whether a value is the address of something in object storage."""
    return isinstance(value, str) and _URI.fullmatch(value) is not None


def parse_storage_uri(value: Any, name: str) -> str:
    """Return the address of a file or a folder, given as a string or as an ``ObjectStoragePath``."""
    text = value if isinstance(value, str) else _text_of(value)
    if (
        text is None
        or not is_storage_uri(text)
        or _RELATIVE.match(text)
        or _NO_BUCKET.match(text)
        or _WILDCARDS.search(text)
    ):
        raise ValueError(
            f"{name} must be a path such as s3://bucket/folder/ or file:///data/folder/, without *, ?, [ "
            f"and ], not {value!r:.200}"
        )
    return text


def parse_optional_storage_uri(value: Any, name: str) -> str | None:
    """Return the address of a file or a folder; None if not set."""
    return None if value is None else parse_storage_uri(value, name)


def object_path(uri: str) -> ObjectStoragePath:
    """
    Return Airflow's path for an address.

    :raises StorageError: there is nothing installed for its scheme, or its connection is not defined.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    with storage_errors("cannot be used", uri):
        path = ObjectStoragePath(uri)
        if conn_id := connection_of(path):
            try:
                BaseHook.get_connection(conn_id)
            except AirflowNotFoundException:
                # Stores would go on without, and say something else.
                raise StorageError(f"{uri} cannot be used: connection {conn_id!r} is not defined") from None
        _ = path.fs
    return path


def connection_of(path: ObjectStoragePath) -> str | None:
    """Return the id of the connection that a path is reached with; None for that of its scheme."""
    # Up to Airflow 3.1, it is among the options of the store.
    return getattr(path, "conn_id", None) or path.storage_options.get("conn_id")


def _text_of(value: Any) -> str | None:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return str(value) if isinstance(value, ObjectStoragePath) else None
