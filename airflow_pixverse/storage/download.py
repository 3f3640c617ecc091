"""Download into object storage; resume with Range, or restart."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_pixverse.api.errors import (
    PixverseFatalError,
    PixverseLinkExpiredError,
    PixverseTransientError,
)
from airflow_pixverse.api.http.url_redaction import redacted_url
from airflow_pixverse.backoff import backoff
from airflow_pixverse.storage.atomic_file import AtomicFile

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_pixverse.api.media import MediaClient

_FRUITLESS_REQUESTS = 4
_FRUITLESS_PARTS = 2
_REQUESTS = 100
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredFile:
    """
    A file that is in object storage.

    :param path: its address.
    :param bytes: its size.
    :param content_type: such as ``video/mp4``; empty if unknown.
    :param sha256: its SHA-256 in 64 hexadecimal digits.
    """

    path: str
    bytes: int
    content_type: str
    sha256: str


class _ChangedError(PixverseTransientError):
    """The rest of the file is not available, so the download restarts."""


class Download:
    """
    Downloads the file of a URL into object storage.

    :param media: the client that reads it.
    :param max_bytes: largest size of the file.
    :param sleep: function that waits for a number of seconds.
    """

    def __init__(
        self,
        media: MediaClient,
        *,
        max_bytes: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._media = media
        self._max_bytes = max_bytes
        self._sleep = sleep
        self._requests = self._fruitless = 0
        # Most bytes received so far, also before a restart.
        self._farthest = 0

    def store(self, url: str, folder: ObjectStoragePath, name: Callable[[str], str]) -> StoredFile:
        """
        Store the file atomically: it gets its name once it is complete.

        :param folder: the folder to store it in.
        :param name: function that returns its name below the folder for a content type.
        :raises PixverseLinkExpiredError: the URL has expired.
        :raises PixverseFatalError: it must not be read, or is too large.
        :raises PixverseTransientError: it does not arrive, even after retries.
        :raises StorageError: it cannot be written.
        """
        while True:
            try:
                with AtomicFile(folder) as file:
                    content_type, sha256 = self._fill(file, url)
                    path = file.move_to(name(content_type))
                    return StoredFile(path, file.written, content_type, sha256)
            except _ChangedError as error:
                self._pause(error)
                log.warning("%s: restarting the download", error)

    def _fill(self, file: AtomicFile, url: str) -> tuple[str, str]:
        """Write the whole file, with as many requests as needed; return its content type and hash."""
        digest = hashlib.sha256()
        content_type, validator = "", ""
        size: int | None = None
        while True:
            try:
                with self._media.open(url, offset=file.written, validator=validator) as media:
                    # A partial response need not repeat the validator, and may be the first with a size.
                    is_other = media.validator not in {"", validator} or size not in {None, media.size}
                    if media.begins_at != file.written or (file.written and is_other):
                        raise _ChangedError(f"{redacted_url(url)} does not go on after {file.written} bytes")
                    content_type = content_type or media.content_type
                    validator = validator or media.validator
                    size = media.size
                    self._check_size(url, size or 0)
                    for chunk in media.chunks:
                        self._check_size(url, file.written + len(chunk))
                        file.write(chunk)
                        digest.update(chunk)
                    if not file.written:
                        raise PixverseTransientError(f"{redacted_url(url)} is empty")
                    return content_type, digest.hexdigest()
            except (_ChangedError, PixverseLinkExpiredError):
                raise
            except PixverseTransientError as error:
                if file.written > self._farthest:
                    self._farthest, self._fruitless = file.written, 0
                # Some servers do not support Range, or refuse it.
                if file.written and (not validator or self._fruitless >= _FRUITLESS_PARTS):
                    raise _ChangedError(str(error), retry_after=error.retry_after) from error
                self._pause(error)
                log.warning("%s: resuming the download", error)

    def _check_size(self, url: str, size: int) -> None:
        if size > self._max_bytes:
            raise PixverseFatalError(f"{redacted_url(url)} has more than max_bytes={self._max_bytes} bytes")

    def _pause(self, error: PixverseTransientError) -> None:
        """Wait before the next request, or raise the error after too many requests."""
        self._requests += 1
        self._fruitless += 1
        if self._fruitless >= _FRUITLESS_REQUESTS or self._requests >= _REQUESTS:
            raise error
        pause = backoff(self._fruitless, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
        self._sleep(max(pause, min(error.retry_after or 0.0, _LONGEST_PAUSE)))
