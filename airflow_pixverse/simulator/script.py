"""The answers that replace those of the service: injected faults and canned answers."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from airflow_pixverse.simulator.fields import FieldError

if TYPE_CHECKING:
    from airflow_pixverse.simulator.faults import Fault

MAX_FAULTS = 1000


def ends_with(path: str, suffix: str) -> bool:
    """Return whether ``path`` ends with ``suffix``; a slash at the end of either makes no difference."""
    return path.rstrip("/").endswith(suffix.rstrip("/"))


class Script:
    """Faults and canned answers, by the end of the path; safe to use from several threads."""

    def __init__(self) -> None:
        self._faults: list[tuple[Fault, float, str]] = []
        self._canned: dict[str, tuple[int, bytes]] = {}
        self._lock = threading.Lock()

    def inject(self, fault: Fault, times: int | None, path: str) -> None:
        """Add a fault behind those injected before; ``times=None`` means until faults are cleared."""
        with self._lock:
            if len(self._faults) >= MAX_FAULTS:
                raise FieldError("fault", f"{MAX_FAULTS} faults are injected already; clear them first")
            self._faults.append((fault, math.inf if times is None else times, path))

    def clear_faults(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def next_fault(self, path: str) -> Fault | None:
        """Return the fault that a request to ``path`` meets, the one injected first, and count it as met."""
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
        """Return the status and body to answer ``path`` with; of several that match, those set last."""
        with self._lock:
            matching = (
                answer for suffix, answer in reversed(self._canned.items()) if ends_with(path, suffix)
            )
            return next(matching, None)
