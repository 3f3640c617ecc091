"""GateObserver: the receiver of a gate's reports."""

from typing import Protocol


class GateObserver(Protocol):
    """Receiver of a gate's reports, for metrics. An exception in it is logged and has no other effect."""

    def record_poll(self, *, seconds: float, failed: bool) -> None:
        """Record one poll: how long it took, and whether it gave no snapshot."""

    def record_state(self, *, waiters: int, free_slots: int, leased_slots: int) -> None:
        """Record the state after a poll that gave a snapshot; the free slots include leased ones."""
