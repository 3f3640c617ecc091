"""Watcher: somebody who sees every snapshot of a gate, and needs no slot."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from airflow_pixverse.gate.request import is_finite

if TYPE_CHECKING:
    from airflow_pixverse.api.errors import PixverseError
    from airflow_pixverse.api.models import Capacity

# Beyond this many, the oldest snapshots are dropped: a watcher that stopped reading must not fill the memory.
_MOST_KEPT = 100


class Watcher:
    """
    Sees the snapshots of the polls that a gate makes, in order.

    Snapshots that come while the owner is busy are kept for it, so that no change is missed.

    :param interval: seconds between two polls, if nobody at the gate asks for less.
    :param connection: id of the connection that it came with.
    :raises ValueError: the interval cannot be used.
    """

    def __init__(self, interval: float, connection: str) -> None:
        if not is_finite(interval) or interval < 0:
            raise ValueError(f"a watcher cannot have the interval {interval!r:.100}")
        self.interval = interval
        self.connection = connection
        self.is_new = True
        self._snapshots: deque[Capacity] = deque(maxlen=_MOST_KEPT)
        self._error: PixverseError | None = None
        self._arrival = asyncio.Event()

    async def next_capacity(self) -> Capacity:
        """
        Return the oldest snapshot that has not been returned yet, or wait for the next.

        :raises PixverseFatalError: asking again will not help. That ends the watch.
        :raises GateMovedError: the connection belongs to another gate now. That ends the watch, too.
        """
        while not self._snapshots:
            if self._error is not None:
                raise self._error
            self._arrival.clear()
            await self._arrival.wait()
        return self._snapshots.popleft()

    def show(self, snapshot: Capacity) -> None:
        """Add a snapshot to those that the owner has not seen."""
        self.is_new = False
        self._snapshots.append(snapshot)
        self._arrival.set()

    def end(self, error: PixverseError) -> None:
        """End the watch once the owner has seen the snapshots that came before."""
        self._error = error
        self._arrival.set()
