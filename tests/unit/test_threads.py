"""Blocking calls in threads of their own."""

import asyncio
import contextvars
import threading

import pytest

from airflow_pixverse.threads import run_in_own_thread, start_in_own_thread


def test_it_returns_what_the_function_returns():
    assert asyncio.run(run_in_own_thread(lambda: threading.current_thread().name, name="mine")) == "mine"


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_it_raises_what_the_function_raises(error):
    def fail():
        raise error

    with pytest.raises(type(error)) as raised:
        start_in_own_thread(fail, name="mine").result(60)
    assert raised.value is error


def test_whoever_stops_waiting_neither_waits_nor_ends_the_function():
    may_end, ended = threading.Event(), threading.Event()

    def work():
        may_end.wait(60)
        ended.set()

    async def give_up():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run_in_own_thread(work, name="mine"), 0.01)

    asyncio.run(give_up())
    assert not ended.is_set()
    may_end.set()
    assert ended.wait(60)


def test_it_knows_nothing_of_the_context_of_its_caller():
    variable = contextvars.ContextVar("variable", default="default")
    variable.set("changed")
    assert start_in_own_thread(variable.get, name="mine").result(60) == "default"
