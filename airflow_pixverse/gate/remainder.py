"""Remainder: what the accounts have left during one decision."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_pixverse.api.models import AccountCapacity
    from airflow_pixverse.gate.snapshot import Snapshot

    # Free slots, negative, and place in the API's list, which together order the accounts; then the account.
    _Ranked = tuple[int, int, str, AccountCapacity]


class Remainder:
    """
    The accounts of a snapshot less the slots that holders of leases were told to use, most room first.

    A lease that is granted changes a few accounts of a thousand, so only those are counted anew then.

    :param snapshot: what is free.
    :param suggested: how many slots of each account are suggested; may change, see :meth:`refresh`.
    """

    def __init__(self, snapshot: Snapshot, suggested: Mapping[str, int]) -> None:
        self._snapshot = snapshot
        self._suggested = suggested
        self._of_account = {key: self._count(key) for key in snapshot.available}
        self._ranking = sorted(chain.from_iterable(self._of_account.values()))
        # Keys of the accounts that have anything left.
        self.keys = {key for key, ranked in self._of_account.items() if ranked}

    def refresh(self, keys: Iterable[str]) -> None:
        """Count anew what these accounts have left, which is less, since more is suggested now."""
        for key in keys:
            for ranked in self._of_account[key]:
                del self._ranking[bisect_left(self._ranking, ranked)]
            self._of_account[key] = self._count(key)
            for ranked in self._of_account[key]:
                insort(self._ranking, ranked)
            if not self._of_account[key]:
                self.keys.discard(key)

    def accounts(self, chosen: frozenset[str]) -> list[AccountCapacity]:
        """Return those of the chosen accounts that have anything left, most room first."""
        if len(chosen) < len(self._ranking) // 8:
            ranking = sorted(chain.from_iterable(self._of_account[key] for key in chosen))
            return [account for _, _, _, account in ranking]
        return [account for _, _, key, account in self._ranking if key in chosen]

    def _count(self, key: str) -> list[_Ranked]:
        accounts = self._snapshot.account_less(key, self._suggested.get(key, 0))
        return [(-account.available, place, key, account) for place, account in accounts if account.available]
