"""Occupancy: the places of a triggerer that waits take, and a warning before there are none."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_pixverse.capabilities import TRIGGERER_CAPACITY, triggerer_capacity

log = logging.getLogger(__name__)

NEAR = 0.8
"""The share of a triggerer's places from which on a warning is due."""

_WARN_EVERY = 600.0  # seconds


class Occupancy:
    """
    Counts the waits that run in this process.

    :param capacity: returns how many triggers one triggerer runs at a time.
    :param clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        capacity: Callable[[], int] = triggerer_capacity,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._capacity = capacity
        self._clock = clock
        self._waits = 0
        self._warned_at = -math.inf

    @contextmanager
    def taking_a_place(self) -> Iterator[None]:
        """Count a wait while it runs."""
        self._waits += 1
        try:
            self._warn_if_near()
            yield
        finally:
            self._waits -= 1

    def _warn_if_near(self) -> None:
        now = self._clock()
        if now - self._warned_at < _WARN_EVERY or self._waits < NEAR * (capacity := self._capacity()):
            return
        self._warned_at = now
        log.warning(
            "%d PixVerse waits run in this triggerer, which runs %d triggers at a time. Those beyond that do "
            "not run: slots stay free, and results are collected late. Raise [triggerer] %s, or start "
            "another triggerer",
            self._waits,
            capacity,
            TRIGGERER_CAPACITY,
        )


OCCUPANCY = Occupancy()
"""That of this process: a triggerer, or a task of ``dag.test()``."""
