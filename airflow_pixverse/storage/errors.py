"""StorageError: object storage did not do what was asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.sanitizer import MAX_WORDS, one_line, shortened


class StorageError(Exception):
    """A file in object storage cannot be read or written; the message names it, and what the store says."""


@contextmanager
def explaining(what: str, uri: str) -> Iterator[None]:
    """
    Turn whatever a store raises into a :class:`StorageError`.

    :param what: such as ``cannot be read``.
    :param uri: the file or folder.
    """
    try:
        yield
    except (StorageError, PixverseError):
        raise
    except Exception as error:
        # Each store has errors of its own, and its libraries have others.
        said = shortened(one_line(str(error)), MAX_WORDS)
        raise StorageError(f"{uri} {what}: {type(error).__name__}: {said}") from error
