"""Looking a connection up: what is looked for again, what is final, and what is a passing trouble."""

import asyncio
import logging

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, Connection

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.hooks import lookup
from airflow_pixverse.hooks.lookup import read_connection, read_connection_async
from airflow_pixverse.hooks.pixverse import PixverseHook
from tests.unit.hooks import backends
from tests.unit.hooks.conftest import TOKEN


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
    import sqlalchemy.exc

    yield ConnectionRefusedError(f"no answer, {TOKEN}")
    yield TimeoutError()
    yield httpx.ConnectError(f"no answer, {TOKEN}")
    yield httpx.ReadTimeout("no answer")
    yield sqlalchemy.exc.OperationalError(
        "SELECT 1", {"conn_id": TOKEN}, Exception("the database is starting")
    )
    yield sqlalchemy.exc.TimeoutError("no connection is left in the pool")


def supervisor_error(kind):
    exceptions = pytest.importorskip("airflow.sdk.exceptions", reason="Airflow 2 has no supervisor")
    comms = pytest.importorskip("airflow.sdk.execution_time.comms")
    return exceptions.AirflowRuntimeError(
        comms.ErrorResponse(error=exceptions.ErrorType(kind), detail={"message": TOKEN})
    )


def test_a_connection_that_is_found_is_looked_for_once(backend):
    assert read_connection("flaky").password == TOKEN
    assert backend.looks == ["flaky"]


@pytest.mark.parametrize("trouble", [OSError("no route to the vault"), backends.NOT_FOUND])
def test_a_worker_gets_over_one_bad_moment_of_a_secrets_backend(backend, trouble):
    backend.troubles.append(trouble)
    assert PixverseHook("flaky").get_conn().base_url.startswith("https://api.useapi.net/")
    assert backend.looks == ["flaky", "flaky"]


def test_a_worker_takes_a_second_not_found_for_final(backend):
    backend.troubles.extend([backends.NOT_FOUND] * 3)
    with pytest.raises(PixverseFatalError, match="'flaky' is not defined"):
        PixverseHook("flaky").get_conn()
    assert backend.looks == ["flaky", "flaky"]


def test_a_worker_waits_some_seconds_before_it_looks_again_and_says_so(monkeypatch, caplog):
    monkeypatch.undo()
    pauses = []
    monkeypatch.setattr(lookup.time, "sleep", pauses.append)
    looks = Looks(AirflowNotFoundException("not there"))
    with caplog.at_level(logging.WARNING, "airflow_pixverse"):
        read_connection("px", get_connection=looks)
    assert pauses == [5.0]
    assert "looking once more in 5 s" in caplog.text


def test_a_triggerer_looks_once(backend):
    backend.troubles.append(backends.NOT_FOUND)
    with pytest.raises(PixverseFatalError, match="'flaky' is not defined"):
        asyncio.run(read_connection_async("flaky"))
    assert backend.looks == ["flaky"]


def test_a_triggerer_finds_what_is_there(backend):
    assert asyncio.run(read_connection_async("flaky")).password == TOKEN


@pytest.mark.parametrize("error", list(unreachable_errors()), ids=lambda error: type(error).__name__)
def test_a_backend_that_cannot_be_reached_is_a_passing_trouble(error):
    looks = Looks(error)
    with pytest.raises(PixverseTransientError, match="connection 'px' could not be read") as caught:
        read_connection("px", get_connection=looks)
    assert type(error).__name__ in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__
    assert looks.count == 1  # whoever waits asks again at the next poke


def test_an_api_server_in_trouble_is_a_passing_trouble():
    looks = Looks(supervisor_error("API_SERVER_ERROR"))
    with pytest.raises(PixverseTransientError, match="API_SERVER_ERROR") as caught:
        read_connection("px", get_connection=looks)
    assert TOKEN not in str(caught.value)


def test_a_not_found_of_the_api_server_is_looked_for_again():
    looks = Looks(supervisor_error("CONNECTION_NOT_FOUND"))
    assert read_connection("px", get_connection=looks).conn_id == "px"
    assert looks.count == 2


def test_trouble_at_the_second_look_is_a_passing_trouble():
    looks = Looks(AirflowNotFoundException("not there"), ConnectionResetError())
    with pytest.raises(PixverseTransientError):
        read_connection("px", get_connection=looks)


@pytest.mark.parametrize("error", [AirflowException(TOKEN), ValueError(TOKEN), RecursionError(TOKEN)])
def test_a_definition_that_cannot_be_read_is_final_at_once(error):
    looks = Looks(error)
    with pytest.raises(PixverseFatalError, match="connection 'px' cannot be read") as caught:
        read_connection("px", get_connection=looks)
    assert TOKEN not in str(caught.value)
    assert looks.count == 1


def test_a_connection_that_may_not_be_read_is_final():
    looks = Looks(PermissionError(TOKEN))
    with pytest.raises(PixverseFatalError, match="Airflow denies access") as caught:
        read_connection("px", get_connection=looks)
    assert TOKEN not in str(caught.value)


def test_a_bug_stays_a_bug():
    with pytest.raises(ZeroDivisionError):
        read_connection("px", get_connection=Looks(ZeroDivisionError()))


@pytest.mark.parametrize("conn_id", ["px\nERROR forged", "x" * 10_000])
def test_the_message_on_a_missing_connection_stays_short_and_on_one_line(conn_id):
    looks = Looks(*[AirflowNotFoundException("not there")] * 2)
    with pytest.raises(PixverseFatalError, match="is not defined") as caught:
        read_connection(conn_id, get_connection=looks)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_the_command_that_creates_a_connection_can_be_pasted():
    looks = Looks(*[AirflowNotFoundException("not there")] * 2)
    with pytest.raises(PixverseFatalError, match=r"connections add 'a; b' --conn-type"):
        read_connection("a; b", get_connection=looks)
