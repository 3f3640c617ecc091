"""CapacityGate: the queue, and the poll that all in it share."""

from __future__ import annotations

import asyncio
import copy
import itertools
import logging
import math
import time
from bisect import bisect_left, insort
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from airflow_pixverse.api.errors import PixverseError, PixverseFatalError, PixverseTransientError
from airflow_pixverse.api.models import Capacity
from airflow_pixverse.gate.admission import admissions, is_too_large
from airflow_pixverse.gate.leases import Leases
from airflow_pixverse.gate.pacing import Pacing
from airflow_pixverse.gate.waiter import Waiter, WaitRequest

log = logging.getLogger(__name__)

# Who is new to the gate asks for no longer an interval than this until it was looked at.
_FIRST_LOOK_WITHIN = 60.0


class GateFailedError(PixverseError):
    """A bug ended all waits."""


class GateObserver(Protocol):
    """Somebody who is told what a gate does, for metrics."""

    def polled(self, *, seconds: float, failed: bool) -> None:
        """Take note of one poll."""

    def stands(self, *, waiters: int, free_slots: int, leased_slots: int) -> None:
        """Take note of how the gate stands after a poll that gave a snapshot."""


class CapacityGate:
    """
    Let waiters through in the order in which they began to wait, as slots become free.

    One gate belongs to one connection and one event loop. While anyone waits, it asks for the capacity once
    an interval, the shortest that a waiter asks for. It admits a waiter whose slots are free beyond those
    leased to waiters admitted before, so that one free slot releases one waiter.

    :param fetch: returns a snapshot; makes one call at most, and does not retry.
    :param clock: a monotonic clock, in seconds.
    :param wall_clock: the time in seconds since the epoch, which ``waiting_since`` is in.
    :param observer: is told of polls.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Capacity]],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        observer: GateObserver | None = None,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._wall_clock = wall_clock
        self._observer = observer
        self._pacing = Pacing()
        self._leases = Leases()
        self._waiters: list[Waiter] = []
        self._newcomers: set[Waiter] = set()
        self._watchers: dict[asyncio.Future[Capacity], float] = {}
        self._numbers = itertools.count()
        self._outcome: Capacity | PixverseError | None = None
        self._polled_at = 0.0  # by the wall clock
        self._polling: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._wake_at = -math.inf

    @property
    def trouble(self) -> PixverseError | None:
        """What was wrong at the last poll."""
        return self._outcome if isinstance(self._outcome, PixverseError) else None

    @contextmanager
    def queue(self, request: WaitRequest) -> Iterator[Waiter]:
        """Take a place in the queue, and leave it at the end without a trace, admitted or not."""
        loop = asyncio.get_running_loop()
        waiter = Waiter(request, next(self._numbers), loop.create_future(), loop.create_future())
        insort(self._waiters, waiter)
        self._newcomers.add(waiter)
        now = self._clock()
        self._pacing.joined(now, self._wall_clock() - request.waiting_since)
        interval = self._interval_of(waiter)
        if now < self._pacing.next_poll(interval):
            self._decide()
        self._keep_polling(interval)
        try:
            yield waiter
        finally:
            self._leave(waiter)

    def describe(self, waiter: Waiter) -> str:
        """Return how a wait stands, for its log."""
        place = bisect_left(self._waiters, waiter) + 1
        text = f"place {place} of {len(self._waiters)}"
        if isinstance(self._outcome, Capacity):
            free = self._outcome.free_slots(waiter.request.emails)
            text += f"; {free} slots free, {self._leases.slots} leased to others"
            if is_too_large(waiter.request, self._outcome):
                text += f"; the accounts do not have {waiter.request.slots} slots in all"
        return f"{text}; {self.trouble}" if self.trouble else text

    async def next_capacity(self, interval: float) -> Capacity:
        """
        Return the next snapshot, of a poll that is shared with all who wait.

        :param interval: seconds between two polls, if nobody asks for less.
        :raises PixverseFatalError: asking again will not help.
        """
        snapshot: asyncio.Future[Capacity] = asyncio.get_running_loop().create_future()
        self._watchers[snapshot] = interval
        self._keep_polling(interval)
        try:
            return await snapshot
        finally:
            self._watchers.pop(snapshot, None)

    def _leave(self, waiter: Waiter) -> None:
        place = bisect_left(self._waiters, waiter)
        if self._waiters[place : place + 1] == [waiter]:
            del self._waiters[place]
        self._newcomers.discard(waiter)
        if waiter.lease is not None:
            self._leases.revoke(waiter.lease)
        if not waiter.admitted.cancel():
            waiter.admitted.exception()  # or asyncio would complain that nobody looked at it
        if not self._waiters:
            self._wake.set()

    def _interval_of(self, waiter: Waiter) -> float:
        interval = waiter.request.interval(self._polled_at)
        return interval if waiter.looked_at.done() else min(interval, _FIRST_LOOK_WITHIN)

    def _keep_polling(self, interval: float) -> None:
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll_while_anyone_waits())
        elif self._pacing.next_poll(interval) < self._wake_at:
            self._wake.set()

    async def _poll_while_anyone_waits(self) -> None:
        try:
            while self._waiters or self._watchers:
                self._wake.clear()
                intervals = itertools.chain(map(self._interval_of, self._waiters), self._watchers.values())
                self._wake_at = self._pacing.next_poll(min(intervals))
                patience = self._wake_at - self._clock()
                if patience <= 0:
                    await self._poll()
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await self._wake.wait()
        except Exception as error:
            # Nobody may wait for ever on a gate that a bug has ended.
            log.exception("The gate crashed")
            self._end_all(GateFailedError(f"the gate crashed: {error!r}"))
        finally:
            self._polling = None

    async def _poll(self) -> None:
        started = self._clock()
        try:
            self._outcome = await self._fetch()
        except PixverseTransientError as error:
            self._outcome = error
            self._pacing.poll_failed(self._clock(), error)
            log.warning("The poll failed: %s", error)
        except PixverseFatalError as error:
            self._outcome = error
            self._pacing.poll_was_fatal()
        else:
            self._pacing.poll_succeeded()
            self._leases.observe(self._outcome, self._clock())
            for snapshot in self._watchers:
                if not snapshot.done():
                    snapshot.set_result(self._outcome)
        # An interval begins when a poll has ended: its call may have been made late.
        self._pacing.polled(self._clock())
        self._polled_at = self._wall_clock()
        self._decide()
        self._tell(self._clock() - started)

    def _decide(self) -> None:
        """Apply what the last poll found to all who wait."""
        if self._pacing.is_gathering(self._clock()):
            return
        match self._outcome:
            case Capacity() as capacity:
                self._admit(capacity)
            case PixverseFatalError() as error:
                self._end_all(error)
        if self._outcome is not None:
            for waiter in self._newcomers:
                waiter.looked_at.set_result(None)
            self._newcomers.clear()

    def _admit(self, capacity: Capacity) -> None:
        admitted = list(admissions(capacity, self._waiters, self._leases, self._clock()))
        for waiter, accounts in admitted:
            waiter.admitted.set_result(accounts)
        if admitted:
            self._waiters = [waiter for waiter in self._waiters if not waiter.admitted.done()]

    def _end_all(self, error: PixverseError) -> None:
        waiting = [waiter.admitted for waiter in self._waiters]
        self._waiters = []
        ended: list[asyncio.Future[Any]] = [*waiting, *self._watchers]
        for future in ended:
            if not future.done():
                # Each its own: an exception that many raise grows with every one of them.
                future.set_exception(copy.copy(error))

    def _tell(self, seconds: float) -> None:
        if self._observer is None:
            return
        self._observer.polled(seconds=seconds, failed=self.trouble is not None)
        if isinstance(self._outcome, Capacity):
            self._observer.stands(
                waiters=len(self._waiters),
                free_slots=self._outcome.free_slots(),
                leased_slots=self._leases.slots,
            )
