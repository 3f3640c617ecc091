"""What to answer instead of the truth: faults that are due, and canned answers."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_pixverse.simulator.faults import Fault


def ends_with(path: str, suffix: str) -> bool:
    """Tell whether ``path`` ends with ``suffix``; a slash at the end of either makes no difference."""
    return path.rstrip("/").endswith(suffix.rstrip("/"))


class Script:
    """Faults and canned answers, by the end of the path; safe to use from several threads."""

    def __init__(self) -> None:
        self._faults: list[tuple[Fault, float, str]] = []
        self._canned: dict[str, tuple[int, bytes]] = {}
        self._lock = threading.Lock()

    def inject(self, fault: Fault, times: int | None, path: str) -> None:
        """Line up a fault behind those injected before; ``times=None`` is for ever."""
        with self._lock:
            self._faults.append((fault, math.inf if times is None else times, path))

    def clear_faults(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def next_fault(self, path: str) -> Fault | None:
        """Use up and return the fault that a request to ``path`` meets, the one injected first."""
        with self._lock:
            for place, (fault, times, suffix) in enumerate(self._faults):
                if ends_with(path, suffix):
                    self._faults[place : place + 1] = [(fault, times - 1, suffix)] if times > 1 else []
                    return fault
            return None

    def respond_with(self, path: str, answer: tuple[int, bytes] | None) -> None:
        """Set or, with ``None``, remove the status and body that ``path`` is answered with."""
        with self._lock:
            self._canned.pop(path.rstrip("/"), None)
            if answer is not None:
                self._canned[path.rstrip("/")] = answer

    def canned(self, path: str) -> tuple[int, bytes] | None:
        """Return the status and body to answer ``path`` with, those set last."""
        with self._lock:
            matching = (
                answer for suffix, answer in reversed(self._canned.items()) if ends_with(path, suffix)
            )
            return next(matching, None)
