"""Blocking calls beside an event loop, in threads of this package's own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


async def run_in_own_thread(function: Callable[[], _Result], *, name: str) -> _Result:
    """
    Return what a blocking function returns, without blocking the event loop.

    Unlike ``asyncio.to_thread`` it takes no thread from the loop's default executor, which all triggers of a
    triggerer share: a service that does not answer holds up nobody else. The thread is a daemon, so it does
    not keep the process from ending, and it runs in an empty context. If the caller is cancelled, the thread
    goes on and its result is dropped.

    :param name: name of the thread, for whoever looks at a stack dump.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[_Result] = loop.create_future()

    def deliver(value: _Result | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is None:
            result.set_result(value)  # type: ignore[arg-type]
        else:
            result.set_exception(error)

    def work() -> None:
        value: _Result | None = None
        error: BaseException | None = None
        try:
            value = contextvars.Context().run(function)
        except BaseException as raised:  # noqa: BLE001 - it is raised again where the result is awaited
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(deliver, value, error)

    threading.Thread(target=work, name=name, daemon=True).start()
    return await result
