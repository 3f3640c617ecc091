"""The connections that the page can show."""

import json

import pytest

from tests.page.conftest import CAPACITY

pytestmark = pytest.mark.usefixtures("always_new", "no_connections")


@pytest.fixture
def store():
    """A function that stores a connection in Airflow's database, and returns its password as it is stored."""
    from airflow.models import Connection
    from airflow.utils.session import create_session

    def store(conn_id, conn_type="pixverse", **fields):
        # The one that is stored, and not that of the SDK.
        connection = Connection(conn_id=conn_id, conn_type=conn_type, **fields)  # noqa: AIR311
        with create_session() as session:
            session.add(connection)
            return connection._password

    return store


def test_without_a_connection_the_page_is_empty(page):
    answer = page.capacity()
    assert (answer["connections"], answer["connection"], answer["capacity"]) == ([], None, None)
    assert answer["problem"] is None
    assert answer["waits"]["total"] == 0


def test_connections_of_database_and_environment_are_found(page, store, monkeypatch):
    store("of_the_database")
    store("of_another_service", "http")
    for name, value in {
        "AS_JSON": '{"conn_type": "pixverse"}',
        "AS_URI": "pixverse://:token@",
        "OTHER_JSON": '{"conn_type": "http"}',
        "OTHER_URI": "http://pixverse://",
        "BROKEN": "{",
        "LIST": '{"conn_type": ["pixverse"]}',
    }.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", value)
    assert page.capacity()["connections"] == ["as_json", "as_uri", "of_the_database"]


def test_an_encrypted_connection_of_the_database_is_used(page, sim, store, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_PIXVERSE_DEFAULT")
    assert store("stored", host=sim.url, password=sim.token) != sim.token
    answer = page.capacity()
    assert (answer["connection"], answer["problem"]) == ("stored", None)
    assert answer["capacity"]["free"] == 6


def test_the_chosen_connection_is_used(page, sim, store, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_GOOD", json.dumps(sim.connection))
    monkeypatch.setenv("AIRFLOW_CONN_BAD", json.dumps(sim.connection | {"password": ""}))
    assert page.capacity(conn_id="bad")["problem"]["kind"] == "connection"
    answer = page.capacity(conn_id="good")
    assert (answer["connection"], answer["problem"]) == ("good", None)


@pytest.mark.parametrize("conn_id", ["of_another_service", "missing", "", "../x"])
def test_other_connections_are_not_found(page, sim, store, conn_id):
    store("of_another_service", "http", host=sim.url, password=sim.token)
    assert page.client().get(CAPACITY, params={"conn_id": conn_id}).status_code == 404
    assert sim.request_count == 0


def test_the_default_connection_is_shown_first(page, sim, store):
    store("another")
    answer = page.capacity()
    assert answer["connections"] == ["another", "pixverse_default"]
    assert answer["connection"] == "pixverse_default"
