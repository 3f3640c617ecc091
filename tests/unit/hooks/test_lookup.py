"""Look-up of a connection: repeated once by a worker, final, or transient."""

import asyncio
import logging

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, Connection

from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.hooks import lookup
from airflow_pixverse.hooks.lookup import SECOND_LOOK_AFTER, read_connection, read_connection_async
from airflow_pixverse.hooks.pixverse import PixverseHook
from tests.helpers.clients import error_of
from tests.unit.hooks import backends
from tests.unit.hooks.conftest import TOKEN, refusal_of


@pytest.fixture
def backend(monkeypatch):
    """A secrets backend of Airflow; its ``troubles`` come first, one at each look."""
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", backends.NAME)
    monkeypatch.setattr(backends.FlakyBackend, "connection", {"conn_type": "pixverse", "password": TOKEN})
    monkeypatch.setattr(backends.FlakyBackend, "troubles", [])
    monkeypatch.setattr(backends.FlakyBackend, "looks", [])
    return backends.FlakyBackend


class Looks:
    """A look-up that ends in one error after another, and then in a connection."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.count = 0

    def __call__(self, conn_id):
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return Connection(conn_id=conn_id, conn_type="pixverse", password=TOKEN)


def unreachable_errors():
    import httpx
    import httpx2
    import sqlalchemy.exc

    yield ConnectionRefusedError(f"no answer, {TOKEN}")
    yield TimeoutError()
    yield httpx.ConnectError(f"no answer, {TOKEN}")
    yield httpx.ReadTimeout("no answer")
    yield httpx2.ConnectError(f"no answer, {TOKEN}")  # what Airflow 3.4 asks its API server with
    yield httpx2.ReadTimeout("no answer")
    yield sqlalchemy.exc.OperationalError("SELECT 1", {"conn_id": TOKEN}, Exception("it is starting"))
    yield sqlalchemy.exc.TimeoutError("no connection is left in the pool")


def supervisor_error(kind):
    exceptions = pytest.importorskip("airflow.sdk.exceptions", reason="Airflow 2 has no supervisor")
    comms = pytest.importorskip("airflow.sdk.execution_time.comms")
    return exceptions.AirflowRuntimeError(
        comms.ErrorResponse(error=exceptions.ErrorType(kind), detail={"message": TOKEN})
    )


# A worker


@pytest.mark.parametrize("trouble", [None, OSError("no route to the vault"), backends.NOT_FOUND])
def test_worker_finds_a_connection_after_one_bad_moment_of_a_secrets_backend(backend, trouble):
    backend.troubles.extend([trouble] if trouble else [])
    assert PixverseHook("flaky").get_conn().base_url.startswith("https://api.useapi.net/")
    assert backend.looks == ["flaky"] * (2 if trouble else 1)


def test_worker_takes_a_second_not_found_for_final(backend):
    backend.troubles.extend([backends.NOT_FOUND] * 3)
    assert "'flaky' is not defined" in refusal_of(PixverseHook("flaky").get_conn)
    assert backend.looks == ["flaky", "flaky"]


def test_worker_waits_some_seconds_before_it_looks_again_and_logs_it(monkeypatch, caplog):
    monkeypatch.setattr(lookup, "SECOND_LOOK_AFTER", SECOND_LOOK_AFTER)
    pauses = []
    monkeypatch.setattr(lookup.time, "sleep", pauses.append)
    with caplog.at_level(logging.WARNING, "airflow_pixverse"):
        read_connection("px", get_connection=Looks(AirflowNotFoundException("not there")))
    assert pauses == [5.0]
    assert "looking once more in 5 s" in caplog.text


# A triggerer


def test_triggerer_looks_once_for_a_connection_that_is_missing(backend):
    backend.troubles.append(backends.NOT_FOUND)
    assert "'flaky' is not defined" in refusal_of(asyncio.run, read_connection_async("flaky"))
    assert backend.looks == ["flaky"]


def test_triggerer_finds_a_connection(backend):
    assert asyncio.run(read_connection_async("flaky")).password == TOKEN


# Errors


def assert_transient(looks, words):
    error = error_of(read_connection, "px", get_connection=looks, kind=PixverseTransientError)
    assert "connection 'px' could not be read" in str(error)
    assert words in str(error)
    assert TOKEN not in str(error)
    assert error.__suppress_context__


@pytest.mark.parametrize("error", list(unreachable_errors()), ids=lambda error: type(error).__name__)
def test_backend_that_cannot_be_reached_is_transient(error):
    looks = Looks(error)
    assert_transient(looks, type(error).__name__)
    assert looks.count == 1  # a wait asks again at its next poke


def test_api_server_in_trouble_is_transient():
    assert_transient(Looks(supervisor_error("API_SERVER_ERROR")), "API_SERVER_ERROR")


def test_backend_that_cannot_be_reached_at_the_second_look_is_transient():
    looks = Looks(AirflowNotFoundException("not there"), ConnectionResetError())
    assert_transient(looks, "ConnectionResetError")


def test_connection_that_the_api_server_does_not_find_is_looked_for_again():
    looks = Looks(supervisor_error("CONNECTION_NOT_FOUND"))
    assert read_connection("px", get_connection=looks).conn_id == "px"
    assert looks.count == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AirflowException(TOKEN), "connection 'px' cannot be read"),
        (ValueError(TOKEN), "connection 'px' cannot be read"),
        (RecursionError(TOKEN), "connection 'px' cannot be read"),
        (PermissionError(TOKEN), "Airflow denies access"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_connection_that_cannot_or_may_not_be_read_is_fatal_at_once(error, words):
    looks = Looks(error)
    assert words in refusal_of(read_connection, "px", get_connection=looks)
    assert looks.count == 1


def test_error_that_is_a_bug_stays_one():
    with pytest.raises(ZeroDivisionError):
        read_connection("px", get_connection=Looks(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("conn_id", "words"),
    [("px\nERROR forged", ""), ("x" * 10_000, ""), ("a; b", "connections add 'a; b' --conn-type")],
)
def test_message_on_a_missing_connection_is_one_short_line_to_paste_from(conn_id, words):
    looks = Looks(*[AirflowNotFoundException("not there")] * 2)
    message = refusal_of(read_connection, conn_id, get_connection=looks)
    assert "is not defined" in message
    assert words in message
    assert message.isprintable()
    assert len(message) < 300
