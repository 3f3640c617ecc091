"""Responses that send their bodies in unusual ways, when aiohttp calls ``write_eof``."""

from __future__ import annotations

import asyncio

from aiohttp import web

BLOCK = 65536


class Replay(web.StreamResponse):
    """
    A copy of a usual response, which a subclass sends in its own way.

    :param response: the usual response
    """

    def __init__(self, response: web.Response) -> None:
        super().__init__(status=response.status, headers=response.headers)
        self.content = response.body if isinstance(response.body, bytes) else b""
        self.content_length = len(self.content)


class Truncated(Replay):
    """Stops halfway through the body that ``Content-Length`` promises, and closes the connection."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response)
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """Send half of it."""
        await self.write(self.content[: len(self.content) // 2])
        await super().write_eof(data)


class Dripping(Replay):
    """
    Sends the body byte by byte.

    :param response: the response
    :param seconds_per_byte: how long to wait before each byte
    """

    def __init__(self, response: web.Response, seconds_per_byte: float) -> None:
        super().__init__(response)
        self._seconds_per_byte = seconds_per_byte

    async def write_eof(self, data: bytes = b"") -> None:
        """Send it slowly."""
        for byte in self.content:
            await asyncio.sleep(self._seconds_per_byte)
            await self.write(bytes([byte]))
        await super().write_eof(data)


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
