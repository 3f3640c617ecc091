"""The log of requests, which tests inspect and wait for."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Others may hold secrets.
LOGGED_HEADERS = (
    "Accept",
    "Accept-Encoding",
    "Connection",
    "Content-Length",
    "Content-Type",
    "Host",
    "If-Range",
    "Range",
    "User-Agent",
)
MAX_TEXT = 512


def loggable(headers: Mapping[str, str]) -> dict[str, str]:
    """Return those of the headers that are logged, long values cut off."""
    return {name: headers[name][:MAX_TEXT] for name in LOGGED_HEADERS if name in headers}


@dataclass(slots=True)
class LoggedRequest:
    """
    One request, logged when it arrives.

    :param method: such as ``GET``
    :param path: as it was sent, without the query
    :param headers: those in :data:`LOGGED_HEADERS`, and ``Authorization``, which only says ``authorized``,
        ``missing`` or ``wrong``
    :param fault: the name of the fault that the request met
    :param status: of the answer, set just before it is sent; ``None`` if there was no answer
    :param sent: how many bytes were handed to the connection, of a file or of what a fault sends in pieces
    :param monotonic: ``time.monotonic()`` at arrival
    :param wall: ``time.time()`` at arrival
    """

    method: str
    path: str
    headers: dict[str, str]
    fault: str | None = None
    status: int | None = None
    sent: int = 0
    monotonic: float = field(default_factory=time.monotonic)
    wall: float = field(default_factory=time.time)


class RequestLog:
    """
    Keeps the last requests and counts all of them; safe to use from several threads.

    :param limit: how many requests to keep
    """

    def __init__(self, limit: int) -> None:
        self._kept: deque[LoggedRequest] = deque(maxlen=limit)
        self._count = 0
        self._grew = threading.Condition()

    @property
    def count(self) -> int:
        """How many requests there were, kept or not."""
        return self._count

    def kept(self) -> list[LoggedRequest]:
        """Return the requests that are kept, oldest first."""
        with self._grew:
            return list(self._kept)

    def add(self, request: LoggedRequest) -> None:
        """Log the request."""
        with self._grew:
            self._kept.append(request)
            self._count += 1
            self._grew.notify_all()

    def wait_for(self, count: int, timeout: float) -> None:
        """Wait until there were ``count`` requests, or raise ``TimeoutError`` after ``timeout`` seconds."""
        with self._grew:
            if not self._grew.wait_for(lambda: self._count >= count, timeout):
                raise TimeoutError(f"{self._count} of {count} requests arrived within {timeout} s")
