"""Uploads: the body of the request, and the response."""

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from airflow_pixverse.api.api_model import id_text
from airflow_pixverse.api.http.deadline import current_deadline

MAX_UPLOAD = 5 * 1000**3
"""The service takes 5 GB at most."""


class Upload(NamedTuple):
    """
    A file that the service has; every account may use it.

    :param path: its name in payloads (``first_frame_path`` and similar fields).
    :param url: URL to look at it; None if unknown.
    :param id: its id, which only images have; None for other files.
    :param answer: the whole response, as plain JSON.
    """

    path: str
    url: str | None
    id: str | None
    answer: dict[str, Any]


class UploadBody:
    """
    The body of an upload: read as it is sent, so that no more than a block of it is in memory.

    :param file: the file, read from its current position.
    :param size: number of bytes to send.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.failure: Exception | None = None
        """Error of reading the file, which HTTP libraries take for an error of the network."""
        self._file = file
        self._size = self._rest = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(64 * 1024):
            yield block

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes of the file."""
        deadline = current_deadline()
        if deadline:
            deadline.pause()
        wanted = self._rest if size < 0 else min(size, self._rest)
        try:
            block = self._file.read(wanted)
            if wanted and not block:
                raise EOFError(f"the file has become shorter than the {self._size} bytes that it had")
        except Exception as error:
            self.failure = error
            raise
        if deadline:
            deadline.postpone()
        self._rest -= len(block)
        return block


def upload_of(answer: Any) -> Upload | None:
    """Return the file that a response names; None if it names none."""
    if not isinstance(answer, dict):
        return None
    results = answer.get("result")
    file = results[0] if isinstance(results, list) and results else answer
    if not isinstance(file, dict):
        return None
    path, url, file_id = (id_text(file.get(name)) for name in ("path", "url", "id"))
    return Upload(path, url or None, file_id or None, answer) if path else None
