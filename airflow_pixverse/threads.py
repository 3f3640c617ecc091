"""Blocking calls beside an event loop, in threads of their own."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Result = TypeVar("_Result")


async def run_in_own_thread(function: Callable[[], _Result], *, name: str) -> _Result:
    """
    Run a blocking function without blocking the event loop, and return its value.

    If the caller is cancelled, the thread continues and its value is dropped.

    :param name: name of the thread, as stack dumps show it.
    """
    return await asyncio.wrap_future(start_in_own_thread(function, name=name))


def start_in_own_thread(function: Callable[[], _Result], *, name: str) -> Future[_Result]:
    """
    Start a blocking function, and return the future of its value.

    Unlike ``asyncio.to_thread`` this takes no thread from the event loop's default executor, which all
    triggers of a triggerer share: a service that does not answer delays no other trigger. The thread is a
    daemon, so it does not keep the process alive, and it runs in an empty context.

    :param name: name of the thread, as stack dumps show it.
    """
    future: Future[_Result] = Future()
    future.set_running_or_notify_cancel()

    def work() -> None:
        try:
            value = contextvars.Context().run(function)
        except BaseException as error:  # noqa: BLE001 - raised again where the result is awaited
            future.set_exception(error)
        else:
            future.set_result(value)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future
