"""What a snapshot says of a wait, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_pixverse.api.models import email_key

if TYPE_CHECKING:
    from airflow_pixverse.api.models import Capacity


def describe_room(capacity: Capacity, slots: int, emails: Iterable[str] | None = None) -> str:
    """Return how many slots the chosen accounts have free, and how many are wanted."""
    return f"{capacity.free_slots(emails)} free, {slots} wanted"


def obstacles(capacity: Capacity, slots: int, emails: Iterable[str] | None = None) -> list[str]:
    """
    Return what keeps a wait from ever coming to its end as the accounts are now, a sentence each.

    :param slots: free slots to wait for.
    :param emails: the chosen accounts; None for all.
    """
    found = []
    listed = {email_key(account.email) for account in capacity.accounts}
    if unlisted := sorted(email for email in emails or () if email_key(email) not in listed):
        found.append(f"The API lists no account {', '.join(unlisted)}: is the e-mail right?")
    total = capacity.total_slots(emails)
    if total < slots and (capacity.chosen(emails) or not unlisted):
        never = "1 slot is never free" if slots == 1 else f"{slots} slots are never free together"
        found.append(f"The chosen accounts run {total} {'job' if total == 1 else 'jobs'} at once: {never}")
    return found
