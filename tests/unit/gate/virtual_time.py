"""An event loop on which time passes only when nothing else is left to do, and then at once."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_START = 1000.0
_LONGEST_TEST = 100_000.0


class _SkippingSelector(selectors.DefaultSelector):
    """Instead of sleeping, moves the clock; where nothing would ever happen again, it says so."""

    def __init__(self) -> None:
        super().__init__()
        self.now = _START
        self.limit = _START + _LONGEST_TEST

    def select(self, timeout=None):
        if timeout is None or self.now > self.limit:
            self.limit = float("inf")  # to let the loop be closed
            raise RuntimeError(f"the test still waits at {self.now}")
        self.now += timeout
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``loop.time()`` is the only clock."""

    def __init__(self) -> None:
        self._skipping = _SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def on_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make an asynchronous test a usual one."""

    @functools.wraps(test)
    def synchronous(*args, **kwargs):
        run(test(*args, **kwargs))

    return synchronous


def now() -> float:
    """The virtual time."""
    return asyncio.get_running_loop().time()
