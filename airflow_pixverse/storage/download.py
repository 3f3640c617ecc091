"""A download into object storage: what breaks off is gone on with, or begun anew."""

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
from airflow_pixverse.api.media import shown
from airflow_pixverse.storage.whole_file import WholeFile

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
    :param content_type: such as ``video/mp4``; empty where the server does not say.
    :param sha256: of its bytes, as 64 hexadecimal digits.
    """

    path: str
    bytes: int
    content_type: str
    sha256: str


class _ChangedError(PixverseTransientError):
    """The rest of the file cannot be had, so it is begun anew."""


class Download:
    """
    Brings the file behind a URL into object storage.

    :param media: reads it.
    :param max_bytes: how large it may be.
    :param sleep: waits for so many seconds.
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

    def store(self, url: str, folder: ObjectStoragePath, name: Callable[[str], str]) -> StoredFile:
        """
        Store the file; it has its name once it is there whole.

        :param folder: where it is stored.
        :param name: returns its name below the folder, by its content type.
        :raises PixverseLinkExpiredError: the URL leads to nothing any more.
        :raises PixverseFatalError: it must not be read, or is too large.
        :raises PixverseTransientError: it does not arrive, although it was tried again.
        :raises StorageError: it cannot be written.
        """
        while True:
            try:
                with WholeFile(folder) as file:
                    content_type, sha256 = self._fill(file, url)
                    path = file.move_to(name(content_type))
                    return StoredFile(path, file.written, content_type, sha256)
            except _ChangedError as error:
                self._pause(error)
                log.warning("%s: it is read from the beginning", error)

    def _fill(self, file: WholeFile, url: str) -> tuple[str, str]:
        """Write the whole file, by as many requests as it takes; return its content type and hash."""
        digest = hashlib.sha256()
        content_type, validator = "", ""
        size: int | None = None
        while True:
            before = file.written
            try:
                with self._media.open(url, offset=file.written, validator=validator) as media:
                    is_other = file.written and (media.validator not in {"", validator} or media.size != size)
                    if media.begins_at != file.written or is_other:
                        raise _ChangedError(f"{shown(url)} does not go on after {file.written} bytes")
                    # A part need not repeat what is known of the file.
                    content_type = content_type or media.content_type
                    validator = validator or media.validator
                    size = media.size
                    self._check_size(url, size or 0)
                    for chunk in media.chunks:
                        self._check_size(url, file.written + len(chunk))
                        file.write(chunk)
                        digest.update(chunk)
                    if not file.written:
                        raise PixverseTransientError(f"{shown(url)} is empty")
                    return content_type, digest.hexdigest()
            except (_ChangedError, PixverseLinkExpiredError):
                raise
            except PixverseTransientError as error:
                if file.written > before:
                    self._fruitless = 0
                # Some servers know of no parts, or refuse them.
                if file.written and (not validator or self._fruitless >= _FRUITLESS_PARTS):
                    raise _ChangedError(str(error), retry_after=error.retry_after) from error
                self._pause(error)
                log.warning("%s: it is read on", error)

    def _check_size(self, url: str, size: int) -> None:
        if size > self._max_bytes:
            raise PixverseFatalError(f"{shown(url)} has more than max_bytes={self._max_bytes} bytes")

    def _pause(self, error: PixverseTransientError) -> None:
        """Wait before the next request, or raise the error if there has been enough of them."""
        self._requests += 1
        self._fruitless += 1
        if self._fruitless >= _FRUITLESS_REQUESTS or self._requests >= _REQUESTS:
            raise error
        pause = _FIRST_PAUSE * (1 << self._fruitless - 1)
        self._sleep(min(max(pause, error.retry_after or 0.0), _LONGEST_PAUSE))
