"""Timing: how often a submit operator looks, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_pixverse.submits.state import SubmitState


@dataclass(frozen=True, kw_only=True)
class Timing:
    """
    How often a submit operator looks, and how long it may take; all in seconds.

    :param poke_interval: between two looks.
    :param capacity_timeout: for a slot; None for as long as it takes.
    :param completion_timeout: for the result; None for as long as it takes.
    :param lease: for which a slot is kept; None for the default.
    """

    poke_interval: float
    capacity_timeout: float | None = None
    completion_timeout: float | None = None
    lease: float | None = None

    def capacity_ends(self, state: SubmitState) -> float | None:
        """Return when the wait for a slot must end, in seconds since the epoch."""
        return None if self.capacity_timeout is None else state.waiting_since + self.capacity_timeout

    def completion_ends(self, state: SubmitState) -> float | None:
        """Return when the wait for the result must end, in seconds since the epoch."""
        return None if self.completion_timeout is None else state.waiting_since + self.completion_timeout
