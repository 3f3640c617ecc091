"""Followers: watchers and trackers, which see the outcome of a gate's polls, and need no slot."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Set as AbstractSet

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.scheduler import Capacity
from airflow_pixverse.gate.waiter import is_duration

# Beyond this many, the oldest snapshots are dropped: a watcher that stopped reading must not fill the memory.
_MOST_KEPT = 100


class Follower(ABC):
    """
    A watcher or a tracker.

    :param interval: seconds between two polls, if no other at the gate asks for less.
    :param connection: id of the connection that it uses.
    :raises ValueError: the interval cannot be used.
    """

    def __init__(self, interval: float, connection: str) -> None:
        if not is_duration(interval):
            raise ValueError(f"a {type(self).__name__.lower()} cannot have the interval {interval!r:.100}")
        self.connection = connection
        self.is_new = True
        """Whether the gate owes it a poll soon."""
        self._interval = interval
        self._error: PixverseError | None = None
        self._change = asyncio.Event()

    def interval(self, polled_at: float) -> float:  # noqa: ARG002
        """Return the seconds from the last poll to the next."""
        return self._interval

    def end(self, error: PixverseError) -> None:
        """Let its owner's next wait raise an error; a watcher returns first what it has seen before."""
        self._error = error
        self._change.set()

    @abstractmethod
    def record_poll(self, snapshot: Capacity | None, listed: AbstractSet[str | None]) -> None:
        """
        Record a poll, and show its owner the snapshot.

        :param snapshot: None if the poll failed.
        :param listed: ids of the jobs in the snapshot.
        """

    async def _wait_for_change(self) -> None:
        if self._error is not None:
            raise self._error
        self._change.clear()
        await self._change.wait()


class Watcher(Follower):
    """
    The snapshots of all polls, in order.

    Snapshots that come while the owner is busy are kept, so that it misses no change.
    """

    def __init__(self, interval: float, connection: str) -> None:
        super().__init__(interval, connection)
        self._snapshots: deque[Capacity] = deque(maxlen=_MOST_KEPT)

    async def next_capacity(self) -> Capacity:
        """
        Return the oldest snapshot that has not been returned yet, or wait for the next.

        :raises PixverseFatalError: asking again will not help. That ends the watch.
        :raises GateMovedError: the connection belongs to another gate now. That ends the watch, too.
        """
        while not self._snapshots:
            await self._wait_for_change()
        return self._snapshots.popleft()

    def record_poll(self, snapshot: Capacity | None, listed: AbstractSet[str | None]) -> None:  # noqa: ARG002
        """Add the snapshot to those that the owner has not seen."""
        if snapshot is not None:
            self.is_new = False
            self._snapshots.append(snapshot)
            self._change.set()


class Tracker(Follower):
    """The state of one job, executing or not, by the polls since the tracker came to the gate."""

    def __init__(self, job_id: str, interval: float, connection: str) -> None:
        super().__init__(interval, connection)
        self.job_id = job_id
        self.polled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done at the first poll since it came, whether that gave a snapshot or not, or at the end."""
        self.is_listed: bool | None = None
        """Whether the last snapshot lists the job; None if unknown."""
        self._was_listed = False

    async def wait_until_unlisted(self) -> bool:
        """
        Return once the job is not executing: at once, if the last snapshot does not list it.

        :return: whether it has been executing since this was last called.
        :raises GateMovedError: the connection belongs to another gate now. That ends the tracking.
        """
        await self._wait_until(is_listed=False)
        was_listed, self._was_listed = self._was_listed, False
        return was_listed

    async def wait_until_listed(self) -> None:
        """Return once the job is executing; the counterpart of :meth:`wait_until_unlisted`."""
        await self._wait_until(is_listed=True)

    async def _wait_until(self, *, is_listed: bool) -> None:
        while self._error is not None or self.is_listed is not is_listed:
            await self._wait_for_change()

    def record_poll(self, snapshot: Capacity | None, listed: AbstractSet[str | None]) -> None:
        """Record that there has been a poll, and wake the owner if the job has come or gone."""
        is_listed = self.job_id in listed
        if snapshot is not None and is_listed is not self.is_listed:
            self.is_listed = is_listed
            self._was_listed = self._was_listed or is_listed
            self._change.set()
        self._mark_polled()

    def end(self, error: PixverseError) -> None:
        """Let its owner's next wait raise an error, or the one that it waits for."""
        super().end(error)
        self._mark_polled()

    def _mark_polled(self) -> None:
        self.is_new = False
        if not self.polled.done():
            self.polled.set_result(None)
