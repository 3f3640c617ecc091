"""The logs of requests and uploads, which tests inspect and wait for."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

E = TypeVar("E")

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
MAX_TEXT = 512  # characters


def loggable(headers: Mapping[str, str]) -> dict[str, str]:
    """Return those of the headers that are logged, long values cut off."""
    return {name: headers[name][:MAX_TEXT] for name in LOGGED_HEADERS if name in headers}


@dataclass(slots=True)
class LoggedRequest:
    """
    A request, logged when it arrives.

    :param method: such as ``GET``
    :param path: as it was sent, without the query
    :param headers: those in :data:`LOGGED_HEADERS`, and ``Authorization``, which only says ``authorized``,
        ``missing`` or ``wrong``
    :param fault: the name of the fault that the request met
    :param status: of the answer, set just before it is sent; None if there was no answer
    :param sent: how many bytes were handed to the connection, of a file or of a body that a fault sends
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


@dataclass(frozen=True, slots=True)
class Upload:
    """
    An uploaded file, without its content.

    :param number: counts the uploads, from 1
    :param path: the name that a payload refers to it by, such as ``upload/1.png``
    :param url: its URL, with the origin that the client uses; nothing is kept there
    :param email: the account it was uploaded for; all accounts can use it
    """

    number: int
    path: str
    url: str
    content_type: str
    size: int
    sha256: str
    email: str | None = None


class Log(Generic[E]):
    """
    Keeps the last entries and counts all of them; safe to use from several threads.

    :param limit: how many entries to keep
    """

    def __init__(self, limit: int) -> None:
        self._kept: deque[E] = deque(maxlen=limit)
        self._count = 0
        self._grew = threading.Condition()

    @property
    def count(self) -> int:
        """The number of entries ever added, kept or not."""
        return self._count

    def kept(self) -> list[E]:
        """Return the entries that are kept, oldest first."""
        with self._grew:
            return list(self._kept)

    def add(self, entry: E) -> None:
        """Add an entry."""
        with self._grew:
            self._kept.append(entry)
            self._count += 1
            self._grew.notify_all()

    def wait_for(self, count: int, timeout: float) -> None:
        """Wait until ``count`` entries were added, or raise ``TimeoutError`` after ``timeout`` seconds."""
        with self._grew:
            if not self._grew.wait_for(lambda: self._count >= count, timeout):
                raise TimeoutError(f"{self._count} of {count} requests arrived within {timeout} s")
