"""Blocking calls beside an event loop, in threads of this package's own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Result = TypeVar("_Result")


async def run_in_own_thread(function: Callable[[], _Result], *, name: str) -> _Result:
    """
    Return what a blocking function returns, without blocking the event loop.

    If the caller is cancelled, the thread goes on and its result is dropped.

    :param name: name of the thread, for whoever looks at a stack dump.
    """
    return await asyncio.wrap_future(start_in_own_thread(function, name=name))


def start_in_own_thread(function: Callable[[], _Result], *, name: str) -> Future[_Result]:
    """
    Start a blocking function, and return the future of what it returns.

    Unlike ``asyncio.to_thread`` it takes no thread from an event loop's default executor, which all triggers
    of a triggerer share: a service that does not answer holds up nobody else. The thread is a daemon, so it
    does not keep the process from ending, and it runs in an empty context.

    :param name: name of the thread, for whoever looks at a stack dump.
    """
    future: Future[_Result] = Future()
    future.set_running_or_notify_cancel()

    def work() -> None:
        try:
            value = contextvars.Context().run(function)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the result is awaited
            future.set_exception(error)
        else:
            future.set_result(value)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future
