"""Bad moments of a service, a connection or Airflow itself: they end no wait, and nobody else notices."""

import asyncio
import json
import socket
import threading
from contextlib import ExitStack, asynccontextmanager

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseAuthError, PixverseTransientError
from airflow_pixverse.simulator import faults
from airflow_pixverse.triggerer import connection_client, shared_gates
from tests.helpers.dag_runs import AIRFLOW
from tests.helpers.trigger_runs import payload, payload_of, requests, status, trigger

VARIABLE = "AIRFLOW_CONN_PIXVERSE_DEFAULT"


@asynccontextmanager
async def waiting_through(sim):
    """A wait that goes on through the block, and ends well as a slot becomes free after it."""
    [job, *_] = sim.fill()
    wait = asyncio.create_task(status(trigger()))
    await requests(sim, 2)
    yield
    assert not wait.done()
    sim.end_job(job)
    assert await wait == "success"


@pytest.fixture
def reading(monkeypatch):
    """Outcomes of the next attempts to read a connection: each an error, or a coroutine to await."""
    read, incidents = connection_client.read_connection_async, []

    async def read_or_fail(conn_id):
        if incidents:
            incident = incidents.pop(0)
            if isinstance(incident, Exception):
                raise incident
            await incident
        return await read(conn_id)

    monkeypatch.setattr(connection_client, "read_connection_async", read_or_fail)
    return incidents


@pytest.fixture
def always_read_again(monkeypatch):
    """The connection is read before each poll."""
    monkeypatch.setattr(connection_client, "_LIFETIME", 0.0)


async def test_a_connection_that_is_not_found_for_a_while_ends_no_wait(sim, monkeypatch, always_read_again):
    async with waiting_through(sim):
        monkeypatch.delenv(VARIABLE)
        await requests(sim, 3)


@pytest.mark.parametrize("definition", ['{"conn_type": "http", "password": "x"}', "{broken", '{"extra": 5}'])
async def test_a_connection_that_cannot_be_used_any_more_ends_no_wait(
    sim, monkeypatch, always_read_again, definition
):
    async with waiting_through(sim):
        monkeypatch.setenv(VARIABLE, definition)
        await requests(sim, 3)


def test_a_secrets_backend_that_fails_for_a_while_ends_no_wait(sim, reading):
    reading.append(PixverseTransientError("the vault is sealed"))
    reading.append(RuntimeError("the vault has a bug"))
    assert payload_of(trigger())["status"] == "success"


async def test_a_secrets_backend_that_fails_in_an_unforeseen_way_does_not_stop_a_gate_at_work(
    sim, reading, always_read_again
):
    async with waiting_through(sim):
        reading.extend(RuntimeError("the vault has a bug") for _ in range(3))
        await requests(sim, 4)
        assert not reading


async def test_a_secrets_backend_that_hangs_does_not_stop_a_gate_at_work(
    sim, reading, always_read_again, monkeypatch
):
    monkeypatch.setattr(connection_client, "_READ_AGAIN_WITHIN", 0.1)
    may_answer = asyncio.Event()

    async with waiting_through(sim):
        reading.append(may_answer.wait())
        await requests(sim, 4)
        assert not reading
        may_answer.set()


@pytest.mark.parametrize("code", [401, 403, 404, 412])
def test_a_single_fatal_answer_ends_no_wait_even_at_the_first_look(sim, code):
    sim.inject(faults.status(code))
    assert payload_of(trigger(poke_interval=60.0))["status"] == "success"


async def test_a_single_fatal_answer_ends_none_of_the_waits_at_work(sim):
    async with waiting_through(sim):
        sim.inject(faults.status(401))
        await requests(sim, 2)


def test_a_fatal_answer_that_a_second_look_confirms_ends_the_wait(sim):
    sim.token = "user:9-new"
    ended = payload_of(trigger())
    assert ended["status"] == "fatal"
    assert "connection 'pixverse_default'" in ended["message"]
    assert sim.request_count == 2


async def test_a_rotated_token_ends_no_wait(sim, monkeypatch):
    async with waiting_through(sim):
        sim.token = "user:9-new"
        monkeypatch.setenv(VARIABLE, json.dumps(sim.connection))
        await requests(sim, 3)
        assert 401 in {request.status for request in sim.requests}


async def test_a_rotated_token_ends_no_wait_while_the_connection_cannot_be_read(sim, reading, monkeypatch):
    """A refused token counts a second time only if the connection was really read in between."""

    async with waiting_through(sim):
        sim.token = "user:9-new"
        monkeypatch.setenv(VARIABLE, json.dumps(sim.connection))
        reading.extend([PixverseTransientError("the vault is sealed")] * 2)
        await requests(sim, 4)
        assert not reading


def test_an_error_that_nobody_foresaw_counts_as_a_failed_poll(sim, monkeypatch):
    look, failures = PixverseClient.get_capacity, iter([OverflowError("a bug"), ZeroDivisionError("another")])

    def sometimes_broken(client):
        for error in failures:
            raise error
        return look(client)

    monkeypatch.setattr(PixverseClient, "get_capacity", sometimes_broken)
    assert payload_of(trigger())["status"] == "success"


async def test_a_call_that_hangs_is_given_up_and_not_repeated_beside_itself(sim, monkeypatch):
    """As with a name look-up, which no timeout ends: seen from the event loop, the thread is stuck."""
    connection = {**sim.connection, "extra": json.dumps({"timeout": 0.2})}
    monkeypatch.setenv(VARIABLE, json.dumps(connection))
    monkeypatch.setattr(shared_gates, "_GRACE", 0.1)
    may_end, given_up, calls = threading.Event(), threading.Event(), []

    def stuck(client):
        calls.append(client)
        may_end.wait(60)
        raise PixverseAuthError("the token of the past")

    class Recorder(shared_gates.GateMetrics):
        def record_poll(self, *, seconds, failed):
            given_up.set()

    with monkeypatch.context() as patched:
        patched.setattr(PixverseClient, "get_capacity", stuck)
        patched.setattr(shared_gates, "GateMetrics", Recorder)
        wait = asyncio.create_task(status(trigger()))
        await asyncio.to_thread(given_up.wait, 60)
        given_up.clear()
        await asyncio.to_thread(given_up.wait, 60)
    hung = len(calls)
    may_end.set()
    assert hung == 1
    assert await wait == "success", "what the old call found does not count"


async def test_services_that_never_answer_hold_up_nobody_else(sim, monkeypatch):
    """Neither a healthy connection, nor what other triggers run in the loop's own threads."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(12)]
        for number, listener in enumerate(listeners):
            connection = {**sim.connection, "port": listener.getsockname()[1], "host": "http://127.0.0.1"}
            monkeypatch.setenv(f"AIRFLOW_CONN_SILENT_{number}", json.dumps(connection))
        waits = [asyncio.create_task(status(trigger(pixverse_conn_id=f"silent_{n}"))) for n in range(12)]
        for listener in listeners:
            await asyncio.to_thread(listener.accept)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 10) == "done"
        assert await asyncio.wait_for(status(trigger()), 10) == "success"
        assert not any(wait.done() for wait in waits)
        for wait in waits:
            wait.cancel()


async def test_an_account_of_odd_values_reaches_the_event_as_what_airflow_can_carry(sim):
    odd = {"email": "a\udcff@example.com", "available": 1, "\u0000key": 2**64, "__classname__": "os.system"}
    sim.respond_with("scheduler/available", {"available": [odd]})

    ended = await payload(trigger())
    json.dumps(ended, allow_nan=False, ensure_ascii=False).encode()
    if AIRFLOW.release >= (3, 0):
        import msgspec

        msgspec.msgpack.encode(ended)
    [account] = ended["accounts"]
    assert account["email"] == "a\ufffd@example.com"
    assert "__classname__" not in account
