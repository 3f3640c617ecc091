"""The script of a test: injected faults and canned answers, which replace those of the service."""

import math
import random
import threading
from dataclasses import dataclass

from airflow_pixverse.simulator.errors import FieldError
from airflow_pixverse.simulator.faults import Fault

MAX_FAULTS = 1000


def ends_with(path: str, suffix: str) -> bool:
    """Return whether ``path`` ends with ``suffix``; a slash at the end of either makes no difference."""
    return path.rstrip("/").endswith(suffix.rstrip("/"))


@dataclass(slots=True)
class Injected:
    """
    A fault, and the requests that meet it.

    :param times: how many more requests
    :param path: only those to paths that end with this
    :param method: only those with this method; None for all
    :param share: the share of them, chosen at random
    """

    fault: Fault
    times: float = math.inf
    path: str = ""
    method: str | None = None
    share: float = 1


class Script:
    """
    Faults by method and path, and canned answers by path; safe to use from several threads.

    :param seed: of the random numbers that choose the requests that a fault with a ``share`` meets
    """

    def __init__(self, seed: int = 0) -> None:
        self._faults: list[Injected] = []
        self._canned: dict[str, tuple[int, bytes]] = {}
        self._random = random.Random(f"{seed} faults")  # noqa: S311
        self._lock = threading.Lock()

    def inject(self, injected: Injected) -> None:
        """Add a fault behind those injected before."""
        with self._lock:
            if len(self._faults) >= MAX_FAULTS:
                raise FieldError("fault", f"{MAX_FAULTS} faults are injected already; clear them first")
            self._faults.append(injected)

    def clear_faults(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def next_fault(self, path: str, method: str = "GET") -> Fault | None:
        """Return the fault that a request meets, the one injected first, and count it as met."""
        with self._lock:
            for place, injected in enumerate(self._faults):
                is_meant = injected.method in {None, method} and ends_with(path, injected.path)
                if is_meant and self._random.random() < injected.share:
                    injected.times -= 1
                    if injected.times < 1:
                        del self._faults[place]
                    return injected.fault
            return None

    def respond_with(self, path: str, answer: tuple[int, bytes] | None) -> None:
        """Set the status and body that answer ``path``; None removes them."""
        with self._lock:
            self._canned.pop(path.rstrip("/"), None)
            if answer is not None:
                self._canned[path.rstrip("/")] = answer

    def canned(self, path: str) -> tuple[int, bytes] | None:
        """Return the status and body that answer ``path``; of several that match, those set last."""
        with self._lock:
            matching = (
                answer for suffix, answer in reversed(self._canned.items()) if ends_with(path, suffix)
            )
            return next(matching, None)
