"""What is uploaded, and what the service answers when it has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from airflow_pixverse.api.api_model import clean_name
from airflow_pixverse.api.deadline import current_deadline

MAX_UPLOAD = 5 * 1000**3
"""The service takes 5 GB at most."""


class Upload(NamedTuple):
    """
    A file that the service has; every account may use it.

    :param path: what payloads name it by (``first_frame_path`` and its likes).
    :param url: where it can be looked at; None where the service does not say.
    :param id: its id, which images have; None for others.
    :param answer: all that the service answered, as plain JSON.
    """

    path: str
    url: str | None
    id: str | None
    answer: dict[str, Any]


class UploadBody:
    """
    The body of an upload: read as it is sent, so that no more than a block of it is in memory.

    :param file: is read from where it stands.
    :param size: how many bytes of it are sent.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.failure: Exception | None = None
        """What reading the file has ended with, which HTTP libraries take for trouble of the network."""
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
    """Return the file that an answer tells of; None if it tells of none."""
    if not isinstance(answer, dict):
        return None
    results = answer.get("result")
    file = results[0] if isinstance(results, list) and results else answer
    texts = {name: _text(file.get(name)) for name in ("path", "url", "id")} if isinstance(file, dict) else {}
    path = texts.get("path")
    return Upload(path, texts["url"], texts["id"], answer) if path else None


def _text(value: Any) -> str | None:
    is_name = isinstance(value, (str, int)) and not isinstance(value, bool)
    return clean_name(str(value)) or None if is_name else None
