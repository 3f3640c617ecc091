"""Responses whose bodies are made while they are sent, in the way that a fault wants."""

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Self

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from airflow_pixverse.simulator.log import LoggedRequest

# Yields the bytes from one position of the body up to another.
Read = Callable[[int, int], Iterator[bytes]]
Send = Callable[["Streamed"], Awaitable[None]]

BLOCK = 65536  # bytes


class Streamed(web.StreamResponse):
    """
    A response whose body is made while it is sent.

    :param read: yields parts of the body
    :param send: sends it with :meth:`send`; None for all of it, as fast as the client reads
    :param chunked: whether no ``Content-Length`` tells its length
    """

    logged: LoggedRequest | None = None
    """Its field ``sent`` is kept up to date."""

    def __init__(
        self,
        size: int,
        read: Read,
        send: Send | None = None,
        *,
        chunked: bool = False,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status=status, headers=headers)
        self.size = size
        self.read = read
        self._send_body = send
        self.content_length = None if chunked else size
        if chunked:
            self.enable_chunked_encoding()

    @classmethod
    def copy_of(
        cls,
        response: web.StreamResponse,
        send: Send | None = None,
        *,
        chunked: bool = False,
        limit: float = math.inf,
    ) -> Self:
        """Return a copy of the usual response, with another way to send it, and at most ``limit`` bytes."""
        read: Read
        if isinstance(response, Streamed):
            size, read = response.size, response.read
        else:
            body = getattr(response, "body", None)
            content = body if isinstance(body, bytes) else b""
            size, read = len(content), lambda start, stop: iter([content[start:stop]])
        shown = int(min(size, limit))
        return cls(shown, read, send, chunked=chunked, status=response.status, headers=response.headers)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Begin to answer the request."""
        self._without_body = request.method == "HEAD"
        return await super().prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the body."""
        if not self._without_body:
            await (self._send_body(self) if self._send_body else self.send(0, self.size))
        await super().write_eof(data)

    async def send(self, start: int, stop: int) -> None:
        """Send the bytes from one position up to another, and log how many were sent."""
        for piece in self.read(start, min(stop, self.size)):
            # Before, so that no client has read a byte that is not logged.
            if self.logged:
                self.logged.sent += len(piece)
            await self.write(piece)


class Holds:
    """The answers that are held now, in the middle of their bodies; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._waiting: list[tuple[int, Future[None]]] = []

    @property
    def count(self) -> int:
        """The number of answers that are held."""
        return len(self._held)

    async def hold(self) -> None:
        """Hold an answer until :meth:`release`, or until its client disconnects."""
        go_on = asyncio.Event()
        with self._lock:
            self._held[go_on] = asyncio.get_running_loop()
            self._resolve()
        try:
            await go_on.wait()
        finally:
            with self._lock:
                self._held.pop(go_on, None)
                self._resolve()

    def release(self) -> int:
        """Let all answers that are held continue, and return how many there were."""
        with self._lock:
            for go_on, loop in self._held.items():
                loop.call_soon_threadsafe(go_on.set)
            released = len(self._held)
            self._held.clear()
            self._resolve()
        return released

    def when(self, count: int) -> Future[None]:
        """Return a future that is done once ``count`` answers are held at the same time; 0 means none."""
        future: Future[None] = Future()
        with self._lock:
            self._waiting.append((count, future))
            self._resolve()
        return future

    def _resolve(self) -> None:
        """Complete the futures whose count is reached, and forget those that were cancelled."""
        for count, future in self._waiting:
            reached = len(self._held) >= count if count else not self._held
            if reached and future.set_running_or_notify_cancel():
                future.set_result(None)
        self._waiting = [(count, future) for count, future in self._waiting if not future.done()]


# The application's key of its holds.
HOLDS = web.AppKey("holds", Holds)
