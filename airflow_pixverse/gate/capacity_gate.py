"""CapacityGate: the queue of waits, and the poll that they share."""

import asyncio
import copy
import itertools
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import Context
from dataclasses import replace
from typing import Self, TypeVar

from airflow_pixverse.api.errors import PixverseError, PixverseFatalError, PixverseTransientError
from airflow_pixverse.api.scheduler import Capacity, describe_room, email_keys, obstacles
from airflow_pixverse.gate.admission import admissions
from airflow_pixverse.gate.errors import GateMovedError
from airflow_pixverse.gate.followers import Follower, Tracker, Watcher
from airflow_pixverse.gate.forecast import Forecast
from airflow_pixverse.gate.lease_update import LeaseUpdate
from airflow_pixverse.gate.leases import Leases, counted_against
from airflow_pixverse.gate.observer import GateObserver
from airflow_pixverse.gate.pacing import Pacing
from airflow_pixverse.gate.turns import Turn
from airflow_pixverse.gate.waiter import Queue, Waiter, WaitRequest

_Follower = TypeVar("_Follower", bound=Follower)

log = logging.getLogger(__name__)

# Arrivals cause no more than one decision in this many seconds: many at once cost little more than one.
_DECISION_PAUSE = 0.05
# After a bug in the gate itself, it goes on after this many seconds.
_PAUSE_AFTER_BUG = 10.0


class CapacityGate:
    """
    A queue for free slots, which admits waits by :class:`~airflow_pixverse.gate.turns.Turns`.

    One gate belongs to one service, one token and one event loop. While anyone waits, it polls once an
    interval: the shortest that a waiter asks for, or less while there are newcomers or open leases. It admits
    a waiter whose slots are free beyond those that are leased, so that one free slot releases one waiter.

    A fault of one waiter, or of the observer, has no effect on others. A fatal error ends all waits for slots
    and all watches, once it has lasted for a minute. Everything else counts as a failed poll, which ends no
    wait. Trackers stay, whatever happens.

    :param fetch: returns a snapshot, and does not retry. It runs in an empty context, since it runs for all
        and not for the task that happened to come first. It raises :class:`GateMovedError` if all for whom it
        could fetch have moved to another gate: that is no failure.
    :param clock: a monotonic clock, in seconds.
    :param wall_clock: the time in seconds since the epoch, which ``waiting_since`` is in.
    :param observer: records the polls and the state of the gate; None for no observer.
    :param jitter: returns a number from 0 to 1, another for each poll.
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
        self._forecast = Forecast()
        self._queue = Queue()
        self._followers: set[Follower] = set()
        # Since the last decision on a snapshot: that lease brings no poll forward any more.
        self._is_slot_given_back = False
        self._numbers = itertools.count()
        # The outcome of the last poll: one of the two.
        self._snapshot: Capacity | None = None
        self.last_error: PixverseError | None = None
        self._traceback_logged = False
        self._decision: asyncio.TimerHandle | None = None
        self._decided_at = -math.inf
        self._polling: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._wake_at = math.inf

    @property
    def is_idle(self) -> bool:
        """Whether nothing is lost with the gate: it has no users, and no lease has time left."""
        return not self._is_in_use and not self._leases.any_lasts(self._clock())

    @property
    def connections(self) -> set[str]:
        """Ids of the connections that its waiters, watchers and trackers use."""
        return {user.connection for user in self._users}

    @contextmanager
    def queue(self, request: WaitRequest) -> Iterator[Waiter]:
        """
        Take a place in the queue, and leave it at the end without a trace, admitted or not.

        A wait with a holder has the turn of its earlier tries, and their lease is free for it.
        """
        now = self._clock()
        since, had_slots = self._leases.holders.join(request.holder, request.waiting_since, now)
        request = replace(request, waiting_since=since)
        self._leases.end_of_earlier_try(request.holder)
        waited = max(0.0, self._wall_clock() - request.waiting_since)
        turn = Turn(since, next(self._numbers), request.priority, request.dag_id, request.slots)
        waiter = Waiter(request, turn, now, waited)
        if had_slots:
            self._queue.record_unused(waiter)
        try:
            self._queue.add(waiter)
            self._pacing.record_arrival(now, waited)
            self._decide_soon()
            self._poll_soon(waiter)
            yield waiter
        finally:
            self._queue.remove(waiter)
            if waiter.lease is not None:
                self._leases.revoke(waiter.lease)
            self._leases.holders.record_leave(request.holder, self._clock())
            waiter.admitted.cancel()  # or asyncio complains of an error that its owner did not collect
            self._stop_if_unused()

    def watch(self, interval: float, connection: str = "") -> AbstractContextManager[Watcher]:
        """See the snapshots of all polls, including those that are made for others: see :class:`Watcher`."""
        return self._follow(Watcher(interval, connection))

    def track(self, job_id: str, interval: float, connection: str = "") -> AbstractContextManager[Tracker]:
        """Follow whether a job is executing, on the polls that are made for all: see :class:`Tracker`."""
        return self._follow(Tracker(job_id, interval, connection))

    @contextmanager
    def _follow(self, follower: _Follower) -> Iterator[_Follower]:
        try:
            self._followers.add(follower)
            self._poll_soon(follower)
            yield follower
        finally:
            self._followers.discard(follower)
            self._stop_if_unused()

    def move_out(self, connection: str) -> None:
        """
        End the waits, watches and trackers of a connection, which belongs to another gate now.

        They end with :class:`GateMovedError`, a watch once its owner has seen the snapshots that came before.
        A waiter that has been admitted stays admitted, whether it has collected its accounts or not.
        """
        moved = GateMovedError(f"connection {connection!r} belongs to another gate now")
        self._end((user for user in self._users if user.connection == connection), moved)
        self._stop_if_unused()

    def adopt_leases(self, other: Self) -> None:
        """
        Take over copies of the leases of another gate, and what it knows of jobs, since its waits move here.

        The other gate keeps its leases, for the waits that stay there. A lease that this gate has known
        already is not taken over again.

        :param other: a gate of the same service and the same accounts, which goes by the same clock.
        """
        self._leases.adopt(other._leases)
        self._forecast.adopt(other._forecast)
        self._wake.set()  # open leases bring the next poll forward

    def update_lease(self, reference: str, update: LeaseUpdate, looked: float | None = None) -> None:
        """
        Record the outcome of the job that a lease is for, as its holder reports it.

        :param reference: of the job. An unknown one is ignored: the lease may have ended, or another
            triggerer may have granted it.
        :param looked: seconds for which its holder has looked for the slot; None if unknown.
        """
        if self._leases.update_lease(reference, update, self._clock(), looked) and self._queue:
            self._is_slot_given_back = True
            self._decide_soon()

    def place(self, waiter: Waiter) -> int:
        """Return a waiter's place in the queue at the last decision, 1 for the first."""
        return self._queue.place(waiter)

    def describe(self, waiter: Waiter) -> str:
        """Return where a wait stands, for its log."""
        parts = [f"place {self.place(waiter)} of {len(self._queue)}"]
        if (snapshot := self._snapshot) is not None:
            slots, emails = waiter.request.slots, waiter.request.emails
            keys = email_keys(account.email or "" for account in snapshot.chosen(emails))
            leased = counted_against(self._leases.counts(), keys)
            parts += [describe_room(snapshot, slots, emails), f"{leased} leased to others"]
            parts += obstacles(snapshot, slots, emails)
        if self.last_error:
            parts.append(f"last API error: {self.last_error}")
        return "; ".join(parts)

    @property
    def _users(self) -> Iterator[Waiter | Follower]:
        return itertools.chain(self._queue, self._followers)

    @property
    def _is_in_use(self) -> bool:
        return bool(self._queue or self._followers)

    def _poll_soon(self, newcomer: Waiter | Follower) -> None:
        """Bring the next poll forward, if a newcomer needs it earlier."""
        interval = newcomer.interval(self._pacing.polled_at)
        if self._polling is None:
            self._start_polling()
        elif self._pacing.next_poll(interval, newcomers=True) < self._wake_at:
            self._wake.set()

    def _start_polling(self, _ended: asyncio.Task[None] | None = None) -> None:
        """Poll while the gate is in use, again if the task was cancelled or a newcomer came as it ended."""
        self._polling = None
        if self._is_in_use:
            self._polling = asyncio.create_task(self._poll_while_in_use(), context=Context())
            self._polling.add_done_callback(self._start_polling, context=Context())

    def _stop_if_unused(self) -> None:
        if not self._is_in_use:
            self._wake.set()

    async def _poll_while_in_use(self) -> None:
        while self._is_in_use:
            try:
                self._wake.clear()
                self._wake_at = self._next_poll()
                pause = self._wake_at - self._clock()
                if pause > 0:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._wake.wait()
                else:
                    await self._poll()
            except Exception:
                # No wait may last forever because of a bug.
                log.exception("The gate failed, and goes on in %g s", _PAUSE_AFTER_BUG)
                await asyncio.sleep(_PAUSE_AFTER_BUG)

    def _next_poll(self) -> float:
        users = list(self._users)
        return self._pacing.next_poll(
            min(user.interval(self._pacing.polled_at) for user in users),
            newcomers=self._is_slot_given_back or any(user.is_new for user in users),
            leases=bool(self._queue and self._leases),
            needed_at=self._early_poll_at(),
        )

    def _early_poll_at(self) -> float:
        """
        Return when a job that matters here is expected to end; infinity if none is.

        Those are the jobs that are tracked, and the next whose slot a wait may get: for that, a handover
        earlier.
        """
        now, handover, wanted = self._clock(), self._leases.handover, self._forecast.wanted
        tracked = {one.job_id for one in self._followers if isinstance(one, Tracker)}
        end = self._forecast.next_end_of(tracked, now) if tracked else math.inf
        if handover is None or not self._queue or not wanted:
            return end
        return min(end, self._forecast.next_end(now, wanted - self._leases.without_reference) - handover)

    async def _poll(self) -> None:
        started = self._clock()
        # An interval begins when a poll has ended: its call may have been made late.
        try:
            snapshot = await self._fetch()
            self._leases.observe(snapshot, self._clock(), poll_began=started)
            self._forecast.observe(snapshot, self._clock())
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
        except Exception as error:
            # The log has the text. It is not shown to users, as it may hold anything.
            self._record_failure(PixverseTransientError(f"the poll failed with {type(error).__name__}"))
            log.warning("The poll failed: %r", error, exc_info=None if self._traceback_logged else error)
            self._traceback_logged = True
        else:
            self._pacing.record_success(self._clock())
            self._snapshot, self.last_error = snapshot, None
            self._traceback_logged = False
        listed = {job.id for job in self._snapshot.executing} if self._snapshot is not None else set()
        for follower in self._followers:
            follower.record_poll(self._snapshot, listed)
        self._decide()
        self._report(self._clock() - started)

    def _record_failure(self, error: PixverseTransientError) -> None:
        self._pacing.record_failure(self._clock(), error.retry_after or 0.0)
        self._snapshot, self.last_error = None, error

    def _record_fatal(self, error: PixverseFatalError) -> None:
        self._snapshot, self.last_error = None, error
        if self._pacing.record_fatal(self._clock()):
            log.warning("All %d waits end: %s", len(self._queue), error)
            # A job that is tracked is paid for: its wait goes on, and asks for the result as well.
            self._end((user for user in self._users if not isinstance(user, Tracker)), error)
        else:
            log.warning("A permanent error, which ends all waits if it lasts: %s", error)

    def _decide_soon(self) -> None:
        """Decide about all newcomers together, unless a decision is due."""
        if self._decision is None:
            at = max(self._decided_at + _DECISION_PAUSE, self._pacing.gathered_at)
            delay = max(0.0, at - self._clock())
            loop = asyncio.get_running_loop()
            self._decision = loop.call_later(delay, self._decide_about_newcomers, context=Context())

    def _decide_about_newcomers(self) -> None:
        self._decision = None
        try:
            self._decide()
        except Exception:
            log.exception("The gate failed to decide, and tries again at the next poll")

    def _decide(self) -> None:
        """Apply the outcome of the last poll to all waits, if it still counts for newcomers."""
        now = self._decided_at = self._clock()
        if self._pacing.is_gathering(now):
            self._decide_soon()
        elif self._snapshot is not None:
            if self._pacing.is_fresh(now):
                self._admit(self._snapshot, now)
        elif isinstance(self.last_error, PixverseTransientError):
            newcomers = [waiter for waiter in self._queue if waiter.is_new]
            # Is a failed poll all that they get for the time being?
            if newcomers and (self._pacing.is_fresh(now) or not self._pacing.is_soon(self._next_poll(), now)):
                for waiter in newcomers:
                    waiter.mark_looked_at()
        elif self.last_error is not None and self._pacing.is_fatal_for_newcomers(now):
            self._end(self._queue, self.last_error)

    def _admit(self, snapshot: Capacity, now: float) -> None:
        self._is_slot_given_back = False
        waiters = self._queue.in_order()
        for waiter, outcome in list(admissions(snapshot, waiters, self._leases, now, self._forecast)):
            if not waiter.end(outcome) and waiter.lease is not None:
                self._leases.revoke(waiter.lease)
            elif not isinstance(outcome, Exception):
                self._queue.record_served(waiter)
            self._queue.remove(waiter)
        for waiter in self._queue:
            waiter.is_new = False
            waiter.mark_looked_at()

    def _end(self, users: Iterable[Waiter | Follower], error: PixverseError) -> None:
        """End them all, each with its own copy: an error that many raise grows with each of them."""
        for user in list(users):
            if isinstance(user, Waiter):
                self._queue.remove(user)
            else:
                self._followers.discard(user)
            user.end(copy.copy(error))

    def _report(self, seconds: float) -> None:
        if self._observer is None:
            return
        try:
            self._observer.record_poll(seconds=seconds, failed=self.last_error is not None)
            if self._snapshot is not None:
                free, leased = self._snapshot.free_slots(), self._leases.slots
                self._observer.record_state(waiters=len(self._queue), free_slots=free, leased_slots=leased)
        except Exception:
            log.exception("The observer of the gate failed")
