"""Snapshot: a capacity as plain numbers by account, made once and then looked at for thousands of waits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_pixverse.api.models import AccountCapacity, email_key

if TYPE_CHECKING:
    from airflow_pixverse.api.models import Capacity


class Snapshot:
    """
    A capacity as plain numbers by account. An account goes by its key (``api.models.email_key``).

    :param capacity: what the API answered.
    """

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.available: dict[str, int] = {}
        self._total: dict[str, int] = {}
        self._listed: dict[str, list[tuple[int, AccountCapacity]]] = {}
        for place, account in enumerate(capacity.accounts):
            key = email_key(account.email)
            self.available[key] = self.available.get(key, 0) + account.available
            self._total[key] = self._total.get(key, 0) + account.total
            self._listed.setdefault(key, []).append((place, account))
        self._keys = frozenset(self.available)
        self._chosen: dict[frozenset[str], tuple[frozenset[str], int]] = {}
        self._all = self._keys, sum(self._total.values())

    def chosen(self, emails: frozenset[str] | None) -> frozenset[str]:
        """Return which of these accounts the API lists; all that it lists for None."""
        return self._choice(emails)[0]

    def is_too_large(self, slots: int, emails: frozenset[str] | None) -> bool:
        """Return whether these accounts have fewer slots even if nothing is executing."""
        return self._choice(emails)[1] < slots

    def free_slots(self, chosen: Iterable[str]) -> int:
        """Return how many slots these accounts, which must be listed, have free together."""
        return sum(self.available[key] for key in chosen)

    def account_less(self, key: str, taken: int) -> list[tuple[int, AccountCapacity]]:
        """
        Return an account with this many of its free slots taken away, as a copy then.

        :return: its place in the API's list, and the account; more than one if it is listed more than once.
        """
        left = []
        for place, account in self._listed[key]:
            gone = min(account.available, taken)
            taken -= gone
            free = account.available - gone
            left.append((place, account.model_copy(update={"available": free}) if gone else account))
        return left

    def _choice(self, emails: frozenset[str] | None) -> tuple[frozenset[str], int]:
        """Return the chosen accounts and how many slots they have in all."""
        if emails is None:
            return self._all
        if emails not in self._chosen:
            chosen = emails & self._keys
            self._chosen[emails] = chosen, sum(self._total[key] for key in chosen)
        return self._chosen[emails]
