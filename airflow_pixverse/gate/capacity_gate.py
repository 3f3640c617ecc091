"""CapacityGate: the queue, and the poll that all in it share."""

from __future__ import annotations

import asyncio
import copy
import itertools
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from typing import TYPE_CHECKING

from airflow_pixverse.api.errors import PixverseError, PixverseFatalError, PixverseTransientError
from airflow_pixverse.api.room import describe_room, obstacles
from airflow_pixverse.gate.admission import admissions
from airflow_pixverse.gate.errors import GateMovedError
from airflow_pixverse.gate.leases import Leases
from airflow_pixverse.gate.pacing import Pacing
from airflow_pixverse.gate.queues import Queue
from airflow_pixverse.gate.snapshot import Snapshot
from airflow_pixverse.gate.tracker import Tracker, Trackers
from airflow_pixverse.gate.waiter import Waiter
from airflow_pixverse.gate.watcher import Watcher

if TYPE_CHECKING:
    from airflow_pixverse.api.models import Capacity
    from airflow_pixverse.gate.observer import GateObserver
    from airflow_pixverse.gate.request import WaitRequest
    from airflow_pixverse.slot_news import News

log = logging.getLogger(__name__)

# Arrivals cause no more than one decision in this many seconds: many at once cost little more than one.
_DECISION_PAUSE = 0.05
# After a bug in the gate itself, it goes on after this many seconds.
_PAUSE_AFTER_BUG = 10.0


class CapacityGate:
    """
    Let waiters through in the order in which they began to wait, as slots become free.

    One gate belongs to one service, one token and one event loop. While anyone waits, it asks for the
    capacity once an interval: the shortest that a waiter asks for, or less where there are newcomers or open
    leases (see ``pacing``). It admits a waiter whose slots are free beyond those leased to waiters admitted
    before, so that one free slot releases one waiter.

    What goes wrong with one waiter, or with the observer, has no effect on others. A fatal error ends all
    waits, once a second look has confirmed it. Everything else counts as a failed poll, which ends no wait.

    :param fetch: returns a snapshot, and does not retry. It runs in an empty context, since it runs for all
        and not for the task that happened to come first. It raises :class:`GateMovedError` if all for whom it
        could fetch have moved to another gate: that is no failure.
    :param clock: a monotonic clock, in seconds.
    :param wall_clock: the time in seconds since the epoch, which ``waiting_since`` is in.
    :param observer: records what the gate does.
    :param jitter: returns a number from 0 to 1, anew for each poll.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Capacity]],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        observer: GateObserver | None = None,
        jitter: Callable[[], float] = random.random,  # noqa: S311 - no secret
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._wall_clock = wall_clock
        self._observer = observer
        self._pacing = Pacing(jitter)
        self._leases = Leases()
        self._queue = Queue()
        self._newcomers: set[Waiter] = set()  # no snapshot has counted for these yet
        self._watchers: set[Watcher] = set()
        self._trackers = Trackers()
        # Since the last decision on a snapshot: that lease brings no poll forward any more.
        self._is_slot_given_back = False
        self._numbers = itertools.count()
        # What the last poll found: one of the two.
        self._snapshot: Snapshot | None = None
        self._trouble: PixverseError | None = None
        self._traceback_logged = False
        self._decision: asyncio.TimerHandle | None = None
        self._decided_at = -math.inf
        self._polling: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._wake_at = math.inf

    @property
    def trouble(self) -> PixverseError | None:
        """What was wrong at the last poll."""
        return self._trouble

    @property
    def is_idle(self) -> bool:
        """Whether nothing is lost with the gate: nobody uses it, and no lease has time left."""
        return not self._is_in_use and not self._leases.any_lasts(self._clock())

    @property
    def connections(self) -> set[str]:
        """Ids of the connections with which those came who wait, watch or track."""
        waits = {waiter.request.connection for waiter in self._queue}
        return waits | {follower.connection for follower in self._followers}

    @contextmanager
    def queue(self, request: WaitRequest) -> Iterator[Waiter]:
        """Take a place in the queue, and leave it at the end without a trace, admitted or not."""
        loop = asyncio.get_running_loop()
        now = self._clock()
        waiter = Waiter(
            request=request,
            turn=(request.waiting_since, next(self._numbers)),
            joined_at=now,
            waited_before=max(0.0, self._wall_clock() - request.waiting_since),
            admitted=loop.create_future(),
            looked_at=loop.create_future(),
        )
        try:
            self._queue.add(waiter)
            self._newcomers.add(waiter)
            self._pacing.record_arrival(now, waiter.waited_before)
            self._decide_by(self._decided_at + _DECISION_PAUSE)
            self._poll_by(self._pacing.next_poll(waiter.interval(self._pacing.polled_at), newcomers=True))
            yield waiter
        finally:
            self._leave(waiter)

    @contextmanager
    def watch(self, interval: float, connection: str = "") -> Iterator[Watcher]:
        """
        See the snapshots of all polls, including those that are made for others.

        :param interval: seconds between two polls, if nobody asks for less.
        :param connection: id of the connection that the watcher comes with.
        :raises ValueError: the interval cannot be used.
        """
        watcher = Watcher(interval, connection)
        try:
            self._watchers.add(watcher)
            self._poll_by(self._pacing.next_poll(interval, newcomers=True))
            yield watcher
        finally:
            self._watchers.discard(watcher)
            self._stop_if_unused()

    @contextmanager
    def track(self, job_id: str, interval: float, connection: str = "") -> Iterator[Tracker]:
        """
        Follow whether a job is executing, on the polls that are made for all.

        :param job_id: id of the job.
        :param interval: seconds between two polls, if nobody asks for less.
        :param connection: id of the connection that the tracker comes with.
        :raises ValueError: the interval cannot be used.
        """
        tracker = Tracker(job_id, interval, connection)
        try:
            self._trackers.add(tracker)
            self._poll_by(self._pacing.next_poll(interval, newcomers=True))
            yield tracker
        finally:
            self._trackers.discard(tracker)
            self._stop_if_unused()

    def move_out(self, connection: str) -> None:
        """
        End what came with a connection, which belongs to another gate now: its waits, watches and trackers.

        They end with :class:`GateMovedError`, a watch once its owner has seen the snapshots that came before.
        A waiter that has been admitted stays admitted, whether it has collected its accounts or not.
        """
        waiters = [waiter for waiter in self._queue if waiter.request.connection == connection]
        moved = GateMovedError(f"connection {connection!r} belongs to another gate now")
        self._end(waiters, [one for one in self._followers if one.connection == connection], moved)
        self._stop_if_unused()

    def adopt_leases(self, other: CapacityGate) -> None:
        """
        Take over copies of the leases of another gate, and the jobs it has seen, since its waits move here.

        The slots that it gave away are not given away again here. The other gate keeps its leases, for those
        who stay there. A lease that this gate has known already is not taken over a second time.

        :param other: a gate of the same service and the same accounts, which goes by the same clock.
        """
        self._leases.adopt(other._leases)
        self._wake.set()  # open leases bring the next poll forward

    def tell(self, reference: str, news: News) -> None:
        """
        Learn from its holder what became of the job that a lease is for.

        :param reference: of the job. One that this gate has not heard of is passed over: the lease may have
            ended, or another triggerer may have granted it.
        """
        if self._leases.tell(reference, news, self._clock()) and self._queue:
            self._is_slot_given_back = True
            self._decide_by(self._decided_at + _DECISION_PAUSE)

    def place(self, waiter: Waiter) -> int:
        """Return a waiter's place in the queue, 1 for the first."""
        return self._queue.place(waiter)

    def describe(self, waiter: Waiter) -> str:
        """Return where a wait stands, for its log."""
        text = f"place {self.place(waiter)} of {len(self._queue)}"
        if self._snapshot is not None:
            text += f"; {self._describe_slots(self._snapshot, waiter.request)}"
        return f"{text}; last API error: {self._trouble}" if self._trouble else text

    def _describe_slots(self, snapshot: Snapshot, request: WaitRequest) -> str:
        capacity, slots, emails = snapshot.capacity, request.slots, request.emails
        leased = f"{self._leases.counted_against(snapshot.chosen(emails))} leased to others"
        return "; ".join(
            [describe_room(capacity, slots, emails), leased, *obstacles(capacity, slots, emails)]
        )

    @property
    def _is_in_use(self) -> bool:
        return bool(self._queue or self._watchers or self._trackers)

    @property
    def _followers(self) -> Iterator[Watcher | Tracker]:
        """Those who need the snapshots, and no slot."""
        return itertools.chain(self._watchers, self._trackers)

    def _leave(self, waiter: Waiter) -> None:
        self._queue.remove(waiter)
        self._newcomers.discard(waiter)
        if waiter.lease is not None:
            self._leases.revoke(waiter.lease)
        waiter.admitted.cancel()  # an error that it may hold needs nobody to look at it then
        self._stop_if_unused()

    def _poll_by(self, at: float) -> None:
        """See to it that there is a poll at this time, or earlier."""
        if self._polling is None:
            self._start_polling()
        elif at < self._wake_at:
            self._wake.set()

    def _start_polling(self) -> None:
        self._polling = asyncio.create_task(self._poll_while_in_use(), context=Context())
        self._polling.add_done_callback(self._start_again, context=Context())

    def _stop_if_unused(self) -> None:
        if not self._is_in_use:
            self._wake.set()

    def _start_again(self, _: asyncio.Task[None]) -> None:
        """Poll again if anyone waits, which is so if the task was cancelled, or somebody came as it ended."""
        self._polling = None
        if self._is_in_use:
            self._start_polling()

    async def _poll_while_in_use(self) -> None:
        while self._is_in_use:
            try:
                self._wake.clear()
                self._wake_at = self._next_poll()
                patience = self._wake_at - self._clock()
                if patience > 0:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(patience):
                            await self._wake.wait()
                else:
                    await self._poll()
            except Exception:
                # Nobody may wait for ever because of a bug.
                log.exception("The gate failed, and goes on in %g s", _PAUSE_AFTER_BUG)
                await asyncio.sleep(_PAUSE_AFTER_BUG)

    def _next_poll(self) -> float:
        last = self._pacing.polled_at
        intervals = itertools.chain(
            (waiter.interval(last) for waiter in self._queue),
            (follower.interval for follower in self._followers),
        )
        return self._pacing.next_poll(
            min(intervals),
            newcomers=bool(self._newcomers or self._trackers.newcomers or self._is_slot_given_back)
            or any(watcher.is_new for watcher in self._watchers),
            leases=bool(self._queue and self._leases.slots),
        )

    async def _poll(self) -> None:
        started = self._clock()
        # An interval begins when a poll has ended: its call may have been made late.
        try:
            snapshot = Snapshot(await self._fetch())
            self._leases.observe(snapshot.capacity, self._clock(), poll_began=started)
        except asyncio.CancelledError:
            self._record_failure(PixverseTransientError("the poll was cancelled"))
            raise
        except GateMovedError:
            self._pacing.record_nothing_to_fetch(self._clock())
            return
        except PixverseFatalError as error:
            self._record_fatal(error)
        except PixverseTransientError as error:
            self._record_failure(error)
            log.warning("The poll failed: %s", error)
        except Exception as error:  # noqa: BLE001 - it is logged there
            self._record_unforeseen(error)
        else:
            self._record_success(snapshot)
        self._decide()
        self._trackers.mark_polled()
        self._report(self._clock() - started)

    def _record_success(self, snapshot: Snapshot) -> None:
        self._pacing.record_success(self._clock())
        self._snapshot, self._trouble = snapshot, None
        self._traceback_logged = False
        for watcher in self._watchers:
            watcher.show(snapshot.capacity)
        self._trackers.show(snapshot.capacity)

    def _record_failure(self, error: PixverseTransientError) -> None:
        self._pacing.record_failure(self._clock(), error.retry_after or 0.0)
        self._snapshot, self._trouble = None, error

    def _record_fatal(self, error: PixverseFatalError) -> None:
        is_believed = self._pacing.record_fatal(self._clock())
        self._snapshot, self._trouble = None, error
        if is_believed:
            log.warning("All %d waits end: %s", len(self._queue) + len(self._trackers), error)
            self._end(self._queue, self._followers, error)
        else:
            log.warning("A second look follows, before this is believed: %s", error)

    def _record_unforeseen(self, error: Exception) -> None:
        # The log has the text. It stays out of what is shown to users, since nobody knows what is in it.
        self._record_failure(PixverseTransientError(f"the poll failed with {type(error).__name__}"))
        log.warning("The poll failed: %r", error, exc_info=None if self._traceback_logged else error)
        self._traceback_logged = True

    def _decide_by(self, at: float) -> None:
        """Decide about newcomers, all together, at this time unless an earlier one is set already."""
        if self._decision is None:
            pause = max(0.0, at - self._clock())
            loop = asyncio.get_running_loop()
            self._decision = loop.call_later(pause, self._decide_about_newcomers, context=Context())

    def _decide_about_newcomers(self) -> None:
        self._decision = None
        try:
            self._decide()
        except Exception:
            log.exception("The gate failed to decide, and tries again at the next poll")

    def _decide(self) -> None:
        """Apply what the last poll found to all who wait, if it still counts for newcomers."""
        now = self._decided_at = self._clock()
        if self._pacing.is_gathering(now):
            self._decide_by(self._pacing.gathered_at)
            return
        if self._snapshot is not None:
            if self._pacing.is_fresh(now):
                self._admit(self._snapshot, now)
        elif isinstance(self._trouble, PixverseTransientError):
            if self._newcomers and self._counts_as_look(now):
                for waiter in self._newcomers:
                    waiter.mark_looked_at()
        elif self._trouble is not None and self._pacing.tells_newcomers(now):
            self._end(self._queue, (), self._trouble)

    def _counts_as_look(self, now: float) -> bool:
        """Return whether a failed poll is all that newcomers get for the time being."""
        return self._pacing.is_fresh(now) or not self._pacing.is_soon(self._next_poll(), now)

    def _admit(self, snapshot: Snapshot, now: float) -> None:
        ended = []
        self._is_slot_given_back = False
        admitted_at = self._wall_clock()
        for waiter, outcome in admissions(snapshot, self._queue.lines, self._leases, now):
            waiter.admitted_at = admitted_at
            if not waiter.end(outcome) and waiter.lease is not None:
                self._leases.revoke(waiter.lease)
            ended.append(waiter)
        for waiter in ended:
            self._queue.remove(waiter)
        for waiter in self._newcomers:
            waiter.mark_looked_at()
        self._newcomers.clear()

    def _end(
        self, waiters: Iterable[Waiter], followers: Iterable[Watcher | Tracker], error: PixverseError
    ) -> None:
        """End them all, each with its own copy: an error that many raise grows with each of them."""
        for waiter in list(waiters):
            self._queue.remove(waiter)
            self._newcomers.discard(waiter)
            waiter.end(copy.copy(error))
        for follower in list(followers):
            if isinstance(follower, Tracker):
                self._trackers.discard(follower)
            else:
                self._watchers.discard(follower)
            follower.end(copy.copy(error))

    def _report(self, seconds: float) -> None:
        if self._observer is None:
            return
        try:
            self._observer.record_poll(seconds=seconds, failed=self._trouble is not None)
            if self._snapshot is not None:
                self._observer.record_state(
                    waiters=len(self._queue),
                    free_slots=self._snapshot.free_slots(self._snapshot.available),
                    leased_slots=self._leases.slots,
                )
        except Exception:
            log.exception("The observer of the gate failed")
