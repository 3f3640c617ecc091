"""Which gate a trigger waits at: one for each connection and event loop; and its Airflow metrics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_pixverse.gate import CapacityGate

_gates: dict[tuple[asyncio.AbstractEventLoop, str], CapacityGate] = {}


def gate_of(pixverse_conn_id: str) -> CapacityGate:
    """Return the gate of a connection in the running event loop."""
    from airflow_pixverse.gate import CapacityGate
    from airflow_pixverse.triggers.poller import ConnectionPoller

    key = asyncio.get_running_loop(), pixverse_conn_id
    if key not in _gates:
        for other in [other for other in _gates if other[0].is_closed()]:  # dag.test() makes many loops
            del _gates[other]
        poller = ConnectionPoller(pixverse_conn_id)
        _gates[key] = CapacityGate(poller.get_capacity, observer=GateMetrics(pixverse_conn_id))
    return _gates[key]


class GateMetrics:
    """
    What a gate does, as Airflow metrics tagged with the connection.

    Gauges ``pixverse.gate.waiters``, ``.free_slots`` and ``.leased_slots``, the timer ``.poll_duration`` and
    the counter ``.poll_errors``.

    :param pixverse_conn_id: id of the connection.
    """

    def __init__(self, pixverse_conn_id: str) -> None:
        from airflow.providers.common.compat.sdk import Stats

        self._stats = Stats
        self._tags = {"conn_id": pixverse_conn_id}

    def polled(self, *, seconds: float, failed: bool) -> None:
        """Take note of one poll."""
        self._stats.timing("pixverse.gate.poll_duration", seconds * 1000, tags=self._tags)
        if failed:
            self._stats.incr("pixverse.gate.poll_errors", tags=self._tags)

    def stands(self, *, waiters: int, free_slots: int, leased_slots: int) -> None:
        """Take note of how the gate stands after a poll."""
        self._stats.gauge("pixverse.gate.waiters", waiters, tags=self._tags)
        self._stats.gauge("pixverse.gate.free_slots", free_slots, tags=self._tags)
        self._stats.gauge("pixverse.gate.leased_slots", leased_slots, tags=self._tags)
