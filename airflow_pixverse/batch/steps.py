"""Steps: the calls of a loop, in a few threads, and their outcomes, in its own."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.batch.looks import StoppedError

_Value = TypeVar("_Value")

# Steps at once, beside the looks, by what they do. None waits for those of another kind: the jobs of submits
# that were lost are looked for for most of a minute each, and threads begin as they are needed.
_POOLS = {"submit": 8, "result": 8, "file": 4, "find": 8, "lost": 64}
_TURN = 1.0


class Later(NamedTuple):
    """
    The rest of a step, which another pool goes on with.

    :param step: function that returns what the first step would have returned.
    """

    step: Callable[[], Any]
    pool: str


class Steps:
    """
    Runs functions in threads, and their handlers in the thread that calls :meth:`handle_until`.

    :param on_turn: called about once a second while there is nothing to handle; it must not block.
    """

    def __init__(self, on_turn: Callable[[], None]) -> None:
        self._on_turn = on_turn
        self._pools = {
            name: ThreadPoolExecutor(size, thread_name_prefix=f"pixverse-{name}")
            for name, size in _POOLS.items()
        }
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.count = 0
        """How many have not been handled."""
        self.is_woken = False
        self._is_closed = False

    def start(
        self,
        step: Callable[[], _Value | Later],
        on_value: Callable[[_Value], None],
        on_error: Callable[[PixverseError], None],
        *,
        pool: str,
    ) -> None:
        """
        Run a step. After :meth:`close`, do nothing: the next process takes it up.

        :param on_value: handles what it returns.
        :param on_error: handles an error of this package. Any other is a bug, and ends the loop.
        :param pool: ``submit``, ``result``, ``file`` or ``find``.
        """

        def run(step: Callable[[], _Value | Later]) -> None:
            try:
                value = step()
                if isinstance(value, Later):
                    self._pools[value.pool].submit(run, value.step)
                    return
            except StoppedError:
                self._done.put(_nothing)
            except PixverseError as error:
                self._done.put(partial(on_error, error))
            except BaseException as error:  # noqa: BLE001 - raised in the thread of the loop
                self._done.put(partial(_raise, error))
            else:
                self._done.put(partial(on_value, value))

        if self._is_closed:
            return
        self.count += 1
        self._pools[pool].submit(run, step)

    def wake(self) -> None:
        """End :meth:`handle_until` at once, from any thread or signal handler."""
        self.is_woken = True
        self.count += 1
        self._done.put(_nothing)

    def handle_until(self, moment: Callable[[], float], is_over: Callable[[], bool]) -> None:
        """
        Handle outcomes until a moment, or until there is nothing left to do.

        :param moment: returns the moment, by the monotonic clock; it is asked for again and again.
        :raises Exception: any error of a handler, or of a step that is a bug.
        """
        while not (self.is_woken or is_over()) and (left := moment() - time.monotonic()) > 0:
            self._on_turn()
            try:
                handle = self._done.get(timeout=min(left, _TURN))
            except queue.Empty:
                continue
            self.count -= 1
            handle()

    def close(self) -> None:
        """Start no more, wait for the calls that have begun, and handle their outcomes. Files are left."""
        self._is_closed = True
        # A step that "submit" leaves to "lost" ends at once there, since the looks have stopped.
        for name, pool in self._pools.items():
            pool.shutdown(wait=name != "file", cancel_futures=name != "lost")
        while not self._done.empty():
            self._done.get()()


def _nothing() -> None:
    """Handle the outcome of a step that has none."""


def _raise(error: BaseException) -> None:
    raise error
