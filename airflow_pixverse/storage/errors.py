"""StorageError: an error of object storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.http.sanitizer import one_line, shortened


class StorageError(PixverseError):
    """A file in object storage cannot be read or written; the message has its address and the reason."""


@contextmanager
def storage_errors(what: str, uri: str) -> Iterator[None]:
    """
    Turn every exception of a store into a :class:`StorageError`.

    :param what: such as ``cannot be read``.
    :param uri: the file or folder.
    """
    try:
        yield
    except PixverseError:
        raise
    except Exception as error:
        # Each store has errors of its own, and its libraries have others.
        said = shortened(one_line(str(error)))
        raise StorageError(f"{uri} {what}: {type(error).__name__}: {said}") from error
