"""The CPU time of processes and of all that they started."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU-seconds of processes and their descendants so far, those that have ended included."""
    total = 0.0
    for process in map(psutil.Process, pids):
        for member in (process, *process.children(recursive=True)):
            try:
                times = member.cpu_times()
            except psutil.NoSuchProcess:
                continue  # its parent has its times
            total += times.user + times.system + times.children_user + times.children_system
    return total
