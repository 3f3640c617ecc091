"""What was uploaded: everything about the files but their content."""

from __future__ import annotations

import mimetypes
import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Upload:
    """
    A file that was uploaded.

    :param number: counts the uploads, from 1
    :param path: what a payload refers to it by, such as ``upload/1.png``
    :param url: where it would be, with the origin that the client uses; nothing is kept there
    :param email: the account it was uploaded for; all accounts can use it
    """

    number: int
    path: str
    url: str
    content_type: str
    size: int
    sha256: str
    email: str | None = None

    @property
    def name(self) -> str:
        """Return the name of the file."""
        return self.path.rpartition("/")[2]


class Uploads:
    """
    Keeps the last uploads; safe to use from several threads.

    :param limit: how many to keep
    """

    def __init__(self, limit: int) -> None:
        self._kept: deque[Upload] = deque(maxlen=limit)
        self._count = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many uploads there were, kept or not."""
        return self._count

    def kept(self) -> list[Upload]:
        """Return the uploads that are kept, oldest first."""
        with self._lock:
            return list(self._kept)

    def add(self, origin: str, content_type: str, size: int, sha256: str, email: str | None) -> Upload:
        """Keep an upload, and return it."""
        suffix = mimetypes.guess_extension(content_type, strict=False) or ".bin"
        with self._lock:
            self._count += 1
            path = f"upload/{self._count}{suffix}"
            upload = Upload(self._count, path, f"{origin}/{path}", content_type, size, sha256, email)
            self._kept.append(upload)
        return upload
