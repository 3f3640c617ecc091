"""Admission: who may pass, given a snapshot, the leases and the queue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from airflow_pixverse.api.models import AccountCapacity, Capacity, accounts_with_room, email_key, email_keys
from airflow_pixverse.gate.leases import Lease, Leases

if TYPE_CHECKING:
    from airflow_pixverse.gate.waiter import Waiter, WaitRequest


def admissions(
    capacity: Capacity, waiters: Iterable[Waiter], leases: Leases, now: float
) -> Iterator[tuple[Waiter, list[AccountCapacity]]]:
    """
    Yield who may pass, with the accounts that have room for it, and grant the leases for it.

    Strictly in the order of ``waiters``. One that asks for more than is free has a claim on all its accounts:
    those behind it get none of their slots, but may use other accounts. One that asks for more than its
    accounts have in all claims nothing.

    :param waiters: whose turn is first comes first.
    :param now: by the clock that leases end by.
    """
    claimed: set[str] = set()
    refused: set[object] = set()
    room = _room(capacity, leases, claimed)
    for waiter in waiters:
        request = waiter.request
        if not room.free_slots():
            break
        if (request.slots, request.emails) in refused:
            continue
        chosen = email_keys(account.email or "" for account in capacity.chosen(request.emails)) - claimed
        # A lease may land on an account that its holder was not told to use: the slot is kept there too.
        free = capacity.free_slots(chosen) - leases.counted_against(chosen)
        kept = room.free_slots(chosen) - free
        accounts = accounts_with_room(room, request.slots + kept, request.emails)
        if accounts:
            if request.lease_seconds:
                anywhere = request.emails is None and not claimed
                waiter.lease = Lease(
                    emails=None if anywhere else chosen,
                    suggested=_suggestion(accounts, request.slots),
                    expires_at=now + request.lease_seconds,
                )
                leases.grant(waiter.lease)
            yield waiter, accounts
        else:
            refused.add((request.slots, request.emails))
            if is_too_large(request, capacity):
                continue
            claimed |= chosen
        room = _room(capacity, leases, claimed)


def is_too_large(request: WaitRequest, capacity: Capacity) -> bool:
    """Tell whether more slots are asked for than the chosen accounts have in all."""
    return sum(account.total for account in capacity.chosen(request.emails)) < request.slots


def _room(capacity: Capacity, leases: Leases, claimed: set[str]) -> Capacity:
    """Return what is free beyond what holders of leases were told to use, on accounts that nobody claims."""
    suggested = leases.suggested()
    accounts = []
    for account in capacity.accounts:
        key = email_key(account.email)
        taken = min(account.available, suggested.get(key, 0))
        suggested[key] = suggested.get(key, 0) - taken
        available = 0 if key in claimed else account.available - taken
        accounts.append(account.model_copy(update={"available": available}))
    return Capacity(accounts=accounts)


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
