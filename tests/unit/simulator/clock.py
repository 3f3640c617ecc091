"""A clock that only moves when told to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """
    What a simulator takes for the time.

    :param now: in seconds since the epoch
    """

    now: float

    def __call__(self) -> float:
        return self.now
