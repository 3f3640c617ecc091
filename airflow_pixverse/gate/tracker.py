"""Tracker: somebody who waits for a job to leave the list of those that execute, and needs no slot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_pixverse.gate.request import is_finite

if TYPE_CHECKING:
    from airflow_pixverse.api.errors import PixverseError
    from airflow_pixverse.api.models import Capacity


class Tracker:
    """
    Knows whether a job is executing, as far as the polls since it came to the gate tell.

    :param job_id: id of the job.
    :param interval: seconds between two polls, if nobody at the gate asks for less.
    :param connection: id of the connection that it came with.
    :raises ValueError: the interval cannot be used.
    """

    def __init__(self, job_id: str, interval: float, connection: str) -> None:
        if not is_finite(interval) or interval < 0:
            raise ValueError(f"a tracker cannot have the interval {interval!r:.100}")
        self.job_id = job_id
        self.interval = interval
        self.connection = connection
        self.polled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done at the first poll since it came, whether that gave a snapshot or not, or at the end."""
        self.is_listed: bool | None = None
        """Whether the last snapshot lists the job; None before the first."""
        self._was_listed = False
        self._error: PixverseError | None = None
        self._change = asyncio.Event()

    async def gone(self) -> bool:
        """
        Return once the job is not executing: at once, if the last snapshot does not list it.

        :return: whether it has been executing since it was last asked for here.
        :raises PixverseFatalError: asking again will not help. That ends the tracking.
        :raises GateMovedError: the connection belongs to another gate now. That ends it, too.
        """
        await self._wait_until(is_listed=False)
        was_listed, self._was_listed = self._was_listed, False
        return was_listed

    async def listed(self) -> None:
        """Return once the job is executing; the counterpart of :meth:`gone`."""
        await self._wait_until(is_listed=True)

    async def _wait_until(self, *, is_listed: bool) -> None:
        while self._error is None and self.is_listed is not is_listed:
            self._change.clear()
            await self._change.wait()
        if self._error is not None:
            raise self._error

    def show(self, *, is_listed: bool) -> None:
        """Tell what a snapshot says of the job."""
        self.is_listed = is_listed
        self._was_listed = self._was_listed or is_listed
        self._change.set()
        self.mark_polled()

    def mark_polled(self) -> None:
        """Let its owner know that there has been a poll."""
        if not self.polled.done():
            self.polled.set_result(None)

    def end(self, error: PixverseError) -> None:
        """End the tracking."""
        self._error = error
        self._change.set()
        self.mark_polled()


class Trackers:
    """The trackers of a gate by job, so that a snapshot costs little more than reading its ids once."""

    def __init__(self) -> None:
        self.newcomers: set[Tracker] = set()  # no snapshot has told these anything yet
        self._of_job: dict[str, set[Tracker]] = {}
        self._listed: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._of_job)

    def __len__(self) -> int:
        return sum(map(len, self._of_job.values()))

    def __iter__(self) -> Iterator[Tracker]:
        return (tracker for trackers in self._of_job.values() for tracker in trackers)

    def add(self, tracker: Tracker) -> None:
        """Tell this one from the next snapshot on."""
        self._of_job.setdefault(tracker.job_id, set()).add(tracker)
        self.newcomers.add(tracker)

    def discard(self, tracker: Tracker) -> None:
        """Tell this one nothing any more."""
        self.newcomers.discard(tracker)
        trackers = self._of_job.get(tracker.job_id, set())
        trackers.discard(tracker)
        if not trackers:
            self._of_job.pop(tracker.job_id, None)
            self._listed.discard(tracker.job_id)

    def show(self, snapshot: Capacity) -> None:
        """Tell what a snapshot says: only those for whom it is news, so that all others cost nothing."""
        listed = self._of_job.keys() & {job.id for job in snapshot.executing if job.id is not None}
        concerned = self.newcomers.union(*(self._of_job[job_id] for job_id in listed ^ self._listed))
        for tracker in concerned:
            tracker.show(is_listed=tracker.job_id in listed)
        self.newcomers.clear()
        self._listed = listed

    def mark_polled(self) -> None:
        """Let newcomers know that there has been a poll."""
        for tracker in self.newcomers:
            tracker.mark_polled()
