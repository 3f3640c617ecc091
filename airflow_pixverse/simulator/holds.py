"""Answers that are held in the middle, until a test says that they may go on."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

from aiohttp import web


class Holds:
    """The answers that are held now; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._waiting: list[tuple[int, Future[None]]] = []

    @property
    def count(self) -> int:
        """How many answers are held."""
        return len(self._held)

    async def hold(self) -> None:
        """Hold an answer until :meth:`release`, or until its client goes."""
        go_on = asyncio.Event()
        with self._lock:
            self._held[go_on] = asyncio.get_running_loop()
            self._tell()
        try:
            await go_on.wait()
        finally:
            with self._lock:
                self._held.pop(go_on, None)
                self._tell()

    def release(self) -> int:
        """Let all answers that are held go on, and return how many there were."""
        with self._lock:
            for go_on, loop in self._held.items():
                loop.call_soon_threadsafe(go_on.set)
            released = len(self._held)
            self._held.clear()
            self._tell()
        return released

    def when(self, count: int) -> Future[None]:
        """Return what is done once at least ``count`` answers are held at the same time, or with 0, none."""
        future: Future[None] = Future()
        with self._lock:
            self._waiting.append((count, future))
            self._tell()
        return future

    def _tell(self) -> None:
        """Tell those whose count is reached, and forget those that wait no more."""
        for count, future in self._waiting:
            reached = len(self._held) >= count if count else not self._held
            if reached and future.set_running_or_notify_cancel():
                future.set_result(None)
        self._waiting = [(count, future) for count, future in self._waiting if not future.done()]


# Where the application has them.
HOLDS = web.AppKey("holds", Holds)
