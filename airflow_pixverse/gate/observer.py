"""GateObserver: how a gate reports what it does."""

from __future__ import annotations

from typing import Protocol


class GateObserver(Protocol):
    """Records what a gate does, for metrics. An exception in it is logged and has no other effect."""

    def record_poll(self, *, seconds: float, failed: bool) -> None:
        """
        Record one poll.

        :param seconds: how long it took.
        :param failed: whether it gave no snapshot.
        """

    def record_state(self, *, waiters: int, free_slots: int, leased_slots: int) -> None:
        """
        Record the state after a poll that gave a snapshot.

        :param waiters: how many still wait.
        :param free_slots: how many slots all accounts have free, leased ones included.
        :param leased_slots: how many slots are leased.
        """
