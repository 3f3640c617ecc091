"""Steps of Python, counted instead of timed."""

from __future__ import annotations

import sys
from collections.abc import Callable


def count_steps(work: Callable[[], object]) -> int:
    """Return how many lines of Python are executed, each turn of a loop included."""
    steps = 0

    def trace(frame, event, arg):
        nonlocal steps
        steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps
