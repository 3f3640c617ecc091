"""
The gate: however many wait, one poll an interval, and no slot is given to two of them.

It is asyncio and nothing else: no Airflow, no HTTP. :class:`CapacityGate` holds the queue and polls. When it
polls is decided in ``pacing``, who may pass in ``admission``, and what is kept for them then in ``leases``.
"""

from airflow_pixverse.gate.capacity_gate import CapacityGate
from airflow_pixverse.gate.errors import GateFailedError, GateMovedError
from airflow_pixverse.gate.observer import GateObserver
from airflow_pixverse.gate.request import WaitRequest
from airflow_pixverse.gate.tracker import Tracker
from airflow_pixverse.gate.waiter import Waiter
from airflow_pixverse.gate.watcher import Watcher

__all__ = [
    "CapacityGate",
    "GateFailedError",
    "GateMovedError",
    "GateObserver",
    "Tracker",
    "WaitRequest",
    "Waiter",
    "Watcher",
]
