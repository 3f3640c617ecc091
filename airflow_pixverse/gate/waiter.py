"""Waiter: a place in the queue of a gate, and the request that it was made for."""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeGuard

from airflow_pixverse.api.scheduler import AccountCapacity
from airflow_pixverse.gate.awaited_job import AwaitedJob
from airflow_pixverse.gate.leases import DEFAULT_LEASE, Lease
from airflow_pixverse.gate.turns import Turn, Turns

_turn = attrgetter("turn")


@dataclass(frozen=True)
class WaitRequest:
    """
    The slots that a wait asks of a gate, and how often to poll for them.

    :param slots: free slots needed, over the chosen accounts together.
    :param emails: keys of the chosen accounts (``api.scheduler.email_keys``); None for all accounts.
    :param poke_interval: seconds between two polls.
    :param exponential_backoff: let the interval grow with the time waited.
    :param max_wait: longest interval in seconds.
    :param waiting_since: when the wait began, in seconds since the epoch.
    :param priority: the higher, the earlier it is served; see :mod:`airflow_pixverse.gate.turns`.
    :param dag_id: the DAG that the wait is one of; empty if unknown. DAGs of equal priority take turns.
    :param lease: seconds for which the slots are kept from other waits unless the job is listed earlier; 0
        for no lease, None for 120.
    :param connection: id of the connection that the wait uses.
    :param reference: the random part of the ``replyRef`` of the job that the slots are for; empty if unknown.
        If ``emails`` chooses accounts, the job has to be sent to the first account that the gate returns.
    :param holder: the task instance that waits for a slot for this job, the same in each of its tries: the
        wait of a retry takes over the turn and the lease of the earlier try. Empty for none.
    :raises ValueError: a field cannot be used; the message names it. A bad request must not reach the gate,
        which all waits share.
    """

    slots: int = 1
    emails: frozenset[str] | None = None
    poke_interval: float = 60.0
    exponential_backoff: bool = False
    max_wait: float = math.inf
    waiting_since: float = 0.0
    priority: int = 1
    dag_id: str = ""
    lease: float | None = None
    connection: str = ""
    reference: str = ""
    holder: str = ""

    def __post_init__(self) -> None:
        is_set = isinstance(self.emails, frozenset) and all(isinstance(key, str) for key in self.emails)
        usable = {
            "slots": is_integer(self.slots) and self.slots >= 1,
            "emails": self.emails is None or is_set,
            "poke_interval": is_duration(self.poke_interval),
            "exponential_backoff": isinstance(self.exponential_backoff, bool),
            "max_wait": self.max_wait == math.inf or is_duration(self.max_wait),
            "waiting_since": is_finite(self.waiting_since),
            "priority": is_integer(self.priority),
            "dag_id": isinstance(self.dag_id, str),
            "lease": self.lease is None or is_duration(self.lease),
            "connection": isinstance(self.connection, str),
            "reference": isinstance(self.reference, str),
            "holder": isinstance(self.holder, str),
        }
        for name, is_usable in usable.items():
            if not is_usable:
                raise ValueError(f"{name} of a wait cannot be {getattr(self, name)!r:.100}")

    @property
    def lease_seconds(self) -> float:
        """Seconds for which the slots are leased."""
        return DEFAULT_LEASE if self.lease is None else self.lease

    def interval(self, waited: float) -> float:
        """
        Return the seconds from the last poll to the next.

        :param waited: how long the wait had lasted at the last poll, in seconds.
        """
        if not self.exponential_backoff:
            return self.poke_interval
        # Intervals of 1, 2, 4, ... times poke_interval: each is longer by one poke_interval than all before
        # it together, which is the time waited.
        return min(self.poke_interval + waited, self.max_wait)


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, slots=True)
class Waiter:
    """
    A place in the queue of a gate.

    :param turn: what its place in the queue depends on.
    :param joined_at: when it came to the gate, by the gate's monotonic clock.
    :param waited_before: for how many seconds it had waited by then.
    :param admitted: the accounts that have room, once it is its turn, or the error that ended the wait.
    :param looked_at: done at the first decision about this waiter, admitted or not.
    :param lease: the slots that are kept for it until it has collected its accounts.
    :param is_new: whether no snapshot has counted for it yet.
    :param ahead: references of the jobs that get slots of its account before it, if it is admitted early;
        None if its slot is free.
    :param awaited: the job whose slot it is to get, if it is admitted early; None if its slot is free.
    """

    request: WaitRequest
    turn: Turn
    joined_at: float
    waited_before: float
    admitted: asyncio.Future[list[AccountCapacity]] = field(default_factory=_future)
    looked_at: asyncio.Future[None] = field(default_factory=_future)
    lease: Lease | None = None
    is_new: bool = True
    ahead: list[str] | None = None
    awaited: AwaitedJob | None = None
    can_pass_early: bool = field(init=False)
    """Whether it may be let through before its slot is free: its holder looks for that itself."""

    def __post_init__(self) -> None:
        self.can_pass_early = self.request.slots == 1 and bool(
            self.request.reference and self.request.lease_seconds
        )

    @property
    def connection(self) -> str:
        """Id of the connection that the wait uses."""
        return self.request.connection

    def interval(self, polled_at: float) -> float:
        """Return the seconds from the last poll, which is given by the gate's clock, to the next."""
        return self.request.interval(max(0.0, self.waited_before + polled_at - self.joined_at))

    def collect(self) -> list[AccountCapacity]:
        """Return the accounts, or raise the error that ended the wait; the lease outlives the waiter now."""
        accounts = self.admitted.result()
        self.lease = None
        return accounts

    def mark_looked_at(self) -> None:
        """Let its owner know that a decision about it has been made."""
        if not self.looked_at.done():
            self.looked_at.set_result(None)

    def end(self, outcome: list[AccountCapacity] | Exception) -> bool:
        """End the wait, and return whether its owner still waited for that."""
        self.mark_looked_at()
        if self.admitted.done():
            return False
        if isinstance(outcome, Exception):
            self.admitted.set_exception(outcome)
        else:
            self.admitted.set_result(outcome)
        return True


class Queue:
    """The waiters of a gate, and whose turn it is."""

    def __init__(self) -> None:
        self._places: dict[Waiter, int] = {}
        self._turns = Turns()

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(self._places)

    def add(self, waiter: Waiter) -> None:
        """Add a waiter, in the last place until :meth:`in_order` is called."""
        self._places[waiter] = len(self._places) + 1

    def remove(self, waiter: Waiter) -> None:
        """Remove a waiter, if it is in the queue."""
        self._places.pop(waiter, None)

    def record_served(self, waiter: Waiter) -> None:
        """Record that a waiter has got its slots, which counts for the turns of its DAG."""
        self._turns.record_served(waiter.turn)

    def record_unused(self, waiter: Waiter) -> None:
        """Record that an earlier try of this waiter has got its slots, and will not use them."""
        self._turns.record_unused(waiter.turn)

    def in_order(self) -> list[Waiter]:
        """Return the waiters in the order in which they are served."""
        ordered = self._turns.in_order(self._places, _turn)
        self._places = {waiter: place for place, waiter in enumerate(ordered, 1)}
        return ordered

    def place(self, waiter: Waiter) -> int:
        """Return the waiter's place when the order was last found out, 1 for the first."""
        return min(self._places[waiter], len(self))


def is_duration(value: object) -> TypeGuard[float]:
    """Return whether this is a finite number of seconds, not negative."""
    return is_finite(value) and value >= 0


def is_integer(value: object) -> TypeGuard[int]:
    """Return whether this is an integer, and no flag."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite(value: object) -> TypeGuard[float]:
    """Return whether this is a number that can be calculated with."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond what a float can hold
        return False
