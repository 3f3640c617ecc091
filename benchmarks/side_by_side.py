"""Measure two things in turn, so that a machine whose speed drifts treats both alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable


def medians(ours: Callable[[], float], yardstick: Callable[[], float], runs: int) -> tuple[float, float]:
    """Return the medians of what both return, each called ``runs`` times after one call to warm up."""
    ours()
    yardstick()
    pairs = [(ours(), yardstick()) for _ in range(runs)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def report(what: str, ours: float, yardstick: float, *, unit: str, goal: float | None) -> None:
    """Print both medians and their ratio, beside the goal if there is one."""
    print(
        f"{what}\n  ours {ours:.4g} {unit}, yardstick {yardstick:.4g} {unit}: "
        f"ratio {ours / yardstick:.3f}" + (f" (goal: at most {goal})" if goal else "")
    )
