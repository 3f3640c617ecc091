"""Snapshot: a capacity as plain numbers by account, made once and then looked at for thousands of waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        self._accounts = [(email_key(account.email), account) for account in capacity.accounts]
        for key, account in self._accounts:
            self.available[key] = self.available.get(key, 0) + account.available
            self._total[key] = self._total.get(key, 0) + account.total
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

    def accounts_less(self, taken: Mapping[str, int], chosen: frozenset[str]) -> list[AccountCapacity]:
        """Return copies of the chosen accounts with this many of their free slots taken away."""
        left = dict(taken)
        accounts = []
        for key, account in self._accounts:
            if key in chosen:
                gone = min(account.available, left.get(key, 0))
                left[key] = left.get(key, 0) - gone  # an account may be listed twice
                accounts.append(account.model_copy(update={"available": account.available - gone}))
        return accounts

    def _choice(self, emails: frozenset[str] | None) -> tuple[frozenset[str], int]:
        """Return the chosen accounts and how many slots they have in all."""
        if emails is None:
            return self._all
        if emails not in self._chosen:
            chosen = emails & self._keys
            self._chosen[emails] = chosen, sum(self._total[key] for key in chosen)
        return self._chosen[emails]
