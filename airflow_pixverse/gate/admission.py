"""Admission: who may pass, given a snapshot, the leases and the queue."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from airflow_pixverse.api.models import AccountCapacity, email_key
from airflow_pixverse.gate.errors import GateFailedError
from airflow_pixverse.gate.leases import Lease, Leases
from airflow_pixverse.gate.remainder import Remainder

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
            outcome: list[AccountCapacity] | GateFailedError | None = decision.admit(waiter)
        except Exception as error:
            log.exception("A decision about a wait failed, which ends this wait")
            outcome = GateFailedError(f"the gate failed to decide about this wait: {error!r}")
        if outcome is None:
            # Refused, and so are all behind it in its line, since they ask for the same.
            heapq.heappop(heads)
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
        self._remainder = Remainder(snapshot, leases.suggested)
        self._available: dict[frozenset[str], int] = {}
        # These two hold until the next lease is granted.
        self._free: dict[frozenset[str], int] = {}
        self._accounts: dict[frozenset[str], list[AccountCapacity]] = {}

    @property
    def has_room(self) -> bool:
        """Whether anything is left on an account that nobody claims."""
        return bool(self._remainder.keys)

    def admit(self, waiter: Waiter) -> list[AccountCapacity] | None:
        """Return the accounts that have room for a waiter, after granting its lease; None refuses it."""
        request = waiter.request
        chosen = self._snapshot.chosen(request.emails)
        if not chosen.isdisjoint(self._claimed):
            chosen -= self._claimed
        if self._snapshot.is_too_large(request.slots, request.emails):
            return None
        # To count the leases takes longest, so it comes last.
        if self._remainder.keys.isdisjoint(chosen) or self._free_slots(chosen) < request.slots:
            self._claimed |= chosen
            self._remainder.keys -= chosen
            return None
        accounts = self._accounts_with_room(chosen)
        if request.lease_seconds:
            self._lease(waiter, chosen, accounts)
        return accounts

    def _free_slots(self, chosen: frozenset[str]) -> int:
        # A lease may land on an account that its holder was not told to use: the slot is kept there too.
        if chosen not in self._free:
            if chosen not in self._available:
                self._available[chosen] = self._snapshot.free_slots(chosen)
            self._free[chosen] = self._available[chosen] - self._leases.counted_against(chosen)
        return self._free[chosen]

    def _accounts_with_room(self, chosen: frozenset[str]) -> list[AccountCapacity]:
        # Together they have enough: all that is suggested, which they are short of, is leased.
        if chosen not in self._accounts:
            self._accounts[chosen] = self._remainder.accounts(chosen)
        return list(self._accounts[chosen])

    def _lease(self, waiter: Waiter, chosen: frozenset[str], accounts: list[AccountCapacity]) -> None:
        request: WaitRequest = waiter.request
        suggested = _suggestion(accounts, request.slots)
        emails: frozenset[str] | None = chosen
        if request.emails is None and not self._claimed:
            emails = None
        elif request.emails is not None and request.reference:
            emails = frozenset(suggested)  # its job will not land elsewhere
        lease = Lease(
            emails=emails,
            suggested=suggested,
            expires_at=self._now + request.lease_seconds,
            reference=request.reference,
        )
        self._leases.grant(lease)
        waiter.lease = lease
        self._remainder.refresh(lease.suggested)
        self._free.clear()
        self._accounts.clear()


def _suggestion(accounts: list[AccountCapacity], slots: int) -> dict[str, int]:
    """Return which slots to suggest: those of the accounts with most room, which come first."""
    suggested: dict[str, int] = {}
    for account in accounts:
        if not slots:
            break
        take = min(slots, account.available)
        key = email_key(account.email)
        suggested[key] = suggested.get(key, 0) + take
        slots -= take
    return suggested
