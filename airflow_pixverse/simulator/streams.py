"""Responses whose bodies are made, or sent in unusual ways, when aiohttp calls ``write_eof``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

    from airflow_pixverse.simulator.holds import Holds
    from airflow_pixverse.simulator.requestlog import LoggedRequest

# Yields what is from one position of the body up to another.
Read = Callable[[int, int], Iterator[bytes]]

BLOCK = 65536
# The key of a request that is answered as if it had asked for no part of a file.
IGNORES_RANGE = "ignores_range"


class Streamed(web.StreamResponse):
    """
    A response whose body is made while it is sent.

    :param size: the length of the body
    :param read: yields parts of it
    """

    def __init__(
        self, size: int, read: Read, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status=status, headers=headers)
        self.size = size
        self.read = read
        self.content_length = size
        # Where to note how much was sent.
        self.logged: LoggedRequest | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Begin to answer the request."""
        self._without_body = request.method == "HEAD"
        return await super().prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the body."""
        if not self._without_body:
            await self.send_body()
        await super().write_eof(data)

    async def send_body(self) -> None:
        """Send all of it, as fast as the client reads."""
        await self.send(0, self.size)

    async def send(self, start: int, stop: int) -> None:
        """Send what is from one position up to another, and log how much was sent."""
        for piece in self.read(start, min(stop, self.size)):
            # Before, so that no client has read what is not logged.
            if self.logged:
                self.logged.sent += len(piece)
            await self.write(piece)


class Replay(Streamed):
    """
    A copy of a usual response, which a subclass sends in its own way.

    :param response: the usual response
    """

    def __init__(self, response: web.StreamResponse) -> None:
        if isinstance(response, Streamed):
            size, read = response.size, response.read
        else:
            body = getattr(response, "body", None)
            content = body if isinstance(body, bytes) else b""
            size, read = len(content), lambda start, stop: iter([content[start:stop]])
        super().__init__(size, read, status=response.status, headers=response.headers)


class Cut(Replay):
    """
    Stops before the end of the body that ``Content-Length`` promises, and closes the connection.

    :param response: the response
    :param after: how many bytes it sends; ``None`` for half of them
    """

    def __init__(self, response: web.StreamResponse, after: int | None = None) -> None:
        super().__init__(response)
        self._after = self.size // 2 if after is None else after
        self.force_close()

    async def send_body(self) -> None:
        """Send the beginning."""
        await self.send(0, self._after)


class Short(Replay):
    """
    Sends only the beginning of the body, as if it were all.

    :param response: the response
    :param after: how many bytes it sends
    :param chunked: no header has its length
    """

    def __init__(self, response: web.StreamResponse, after: int, *, chunked: bool) -> None:
        super().__init__(response)
        self.size = min(after, self.size)
        self.content_length = None if chunked else self.size
        if chunked:
            self.enable_chunked_encoding()


class Held(Replay):
    """
    Stops in the middle of the body, until a test says that it may go on.

    :param response: the response
    :param after: how many bytes it sends before
    :param holds: knows when it may go on
    """

    def __init__(self, response: web.StreamResponse, after: int, holds: Holds) -> None:
        super().__init__(response)
        self._after = after
        self._holds = holds

    async def send_body(self) -> None:
        """Send the beginning, wait, and send the rest."""
        await self.send(0, self._after)
        await self._holds.hold()
        await self.send(self._after, self.size)


class Throttled(Replay):
    """
    Sends the body slowly.

    :param response: the response
    :param bytes_per_second: how slowly
    """

    def __init__(self, response: web.StreamResponse, bytes_per_second: int) -> None:
        super().__init__(response)
        self._bytes_per_second = bytes_per_second

    async def send_body(self) -> None:
        """Send ten pieces a second, or a byte at a time."""
        step = max(1, self._bytes_per_second // 10)
        for start in range(0, self.size, step):
            await asyncio.sleep(step / self._bytes_per_second)
            await self.send(start, start + step)


class Dripping(Replay):
    """
    Sends the body byte by byte.

    :param response: the response
    :param seconds_per_byte: how long to wait before each byte
    """

    def __init__(self, response: web.StreamResponse, seconds_per_byte: float) -> None:
        super().__init__(response)
        self._seconds_per_byte = seconds_per_byte

    async def send_body(self) -> None:
        """Send it slowly."""
        for position in range(self.size):
            await asyncio.sleep(self._seconds_per_byte)
            await self.send(position, position + 1)


class Oversized(web.StreamResponse):
    """
    An empty JSON array that is full of white space, sent in chunks, so that no header has its length.

    :param size: the length in bytes
    """

    def __init__(self, size: int) -> None:
        super().__init__(headers={"Content-Type": "application/json"})
        self.enable_chunked_encoding()
        self._size = size

    async def write_eof(self, data: bytes = b"") -> None:
        """Send it, as fast as the client reads."""
        await self.write(b"[")
        for sent in range(0, self._size - 2, BLOCK):
            await self.write(b" " * min(BLOCK, self._size - 2 - sent))
        await super().write_eof(data or b"]")
