"""Admission: who may pass, given a snapshot, the leases and the queue."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from airflow_pixverse.api.models import AccountCapacity, Capacity, accounts_with_room, email_key
from airflow_pixverse.gate.errors import GateFailedError
from airflow_pixverse.gate.leases import Lease, Leases

if TYPE_CHECKING:
    from airflow_pixverse.gate.request import WaitRequest
    from airflow_pixverse.gate.snapshot import Snapshot
    from airflow_pixverse.gate.waiter import Waiter

log = logging.getLogger(__name__)


def admissions(
    snapshot: Snapshot, lines: Iterable[list[Waiter]], leases: Leases, now: float
) -> Iterator[tuple[Waiter, list[AccountCapacity] | GateFailedError]]:
    """
    Yield who may pass, with the accounts that have room for it, and grant the leases for it.

    Strictly by turn. A waiter that asks for more than is free has a claim on all its accounts: those behind
    it get none of their slots, but may use other accounts. One that asks for more than its accounts have in
    all claims nothing. A waiter whose decision fails is yielded with an error, and the others go on.

    :param lines: the waiters in lines of equal requests, by turn; they must not change in the meantime.
    :param now: by the clock that leases end by.
    """
    decision = _Decision(snapshot, leases, now)
    heads = [(line[0].turn, 0, line) for line in lines] if decision.has_room else []
    heapq.heapify(heads)
    while heads and decision.has_room:
        _, index, line = heads[0]
        waiter = line[index]
        try:
            outcome: list[AccountCapacity] | GateFailedError = decision.admit(waiter)
        except Exception as error:
            log.exception("A decision about a wait failed, which ends this wait")
            outcome = GateFailedError(f"the gate failed to decide about this wait: {error!r}")
        if not outcome:
            heapq.heappop(heads)  # and with it all who ask for the same
            continue
        yield waiter, outcome
        index += 1
        if index < len(line):
            heapq.heapreplace(heads, (line[index].turn, index, line))
        else:
            heapq.heappop(heads)


class _Decision:
    """What is left at some point of a decision, in plain numbers by account."""

    def __init__(self, snapshot: Snapshot, leases: Leases, now: float) -> None:
        self._snapshot = snapshot
        self._leases = leases
        self._now = now
        self._claimed: set[str] = set()
        self._suggested = leases.suggested()
        self._with_room = self._accounts_beyond_suggestions()
        # These two hold until the next lease is granted.
        self._free: dict[frozenset[str], int] = {}
        self._accounts: dict[tuple[int, frozenset[str]], list[AccountCapacity]] = {}

    @property
    def has_room(self) -> bool:
        """Whether anything is left on an account that nobody claims."""
        return bool(self._with_room)

    def admit(self, waiter: Waiter) -> list[AccountCapacity]:
        """Return the accounts that have room for a waiter, after granting its lease; nothing refuses it."""
        request = waiter.request
        chosen = self._snapshot.chosen(request.emails) - self._claimed
        is_too_large = self._snapshot.is_too_large(request.slots, request.emails)
        # To count the leases takes longest, so it comes last.
        if is_too_large or self._with_room.isdisjoint(chosen) or self._free_slots(chosen) < request.slots:
            if not is_too_large:
                self._claimed |= chosen
                self._with_room -= chosen
            return []
        accounts = self._accounts_with_room(request.slots, chosen)
        if request.lease_seconds:
            self._lease(waiter, chosen, accounts)
        return accounts

    def _accounts_beyond_suggestions(self) -> set[str]:
        """Return the accounts that have more free slots than holders of leases were told to use."""
        return {key for key, free in self._snapshot.available.items() if free > self._suggested[key]}

    def _free_slots(self, chosen: frozenset[str]) -> int:
        # A lease may land on an account that its holder was not told to use: the slot is kept there too.
        if chosen not in self._free:
            leased = self._leases.counted_against(chosen)
            self._free[chosen] = self._snapshot.free_slots(chosen) - leased
        return self._free[chosen]

    def _accounts_with_room(self, slots: int, chosen: frozenset[str]) -> list[AccountCapacity]:
        if (slots, chosen) not in self._accounts:
            accounts = self._snapshot.accounts_less(self._suggested, chosen)
            self._accounts[slots, chosen] = accounts_with_room(Capacity(accounts=accounts), slots)
        return list(self._accounts[slots, chosen])

    def _lease(self, waiter: Waiter, chosen: frozenset[str], accounts: list[AccountCapacity]) -> None:
        request: WaitRequest = waiter.request
        anywhere = request.emails is None and not self._claimed
        lease = Lease(
            emails=None if anywhere else chosen,
            suggested=_suggestion(accounts, request.slots),
            expires_at=self._now + request.lease_seconds,
        )
        self._leases.grant(lease)
        waiter.lease = lease
        self._suggested.update(lease.suggested)
        self._with_room = self._accounts_beyond_suggestions() - self._claimed
        self._free.clear()
        self._accounts.clear()


def _suggestion(accounts: list[AccountCapacity], slots: int) -> dict[str, int]:
    """Return which slots to suggest: those of the accounts with most room, which come first."""
    suggested: dict[str, int] = {}
    for account in accounts:
        take = min(slots, account.available)
        if take:
            key = email_key(account.email)
            suggested[key] = suggested.get(key, 0) + take
            slots -= take
    return suggested
