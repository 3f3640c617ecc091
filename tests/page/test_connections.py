"""Which connections the page can be about."""

import json

import pytest

pytestmark = pytest.mark.usefixtures("always_new", "no_connections")


@pytest.fixture
def store():
    """Store a connection in Airflow's database."""
    from airflow.models import Connection
    from airflow.utils.session import create_session

    def store(conn_id, conn_type="pixverse", **fields):
        # The one that is stored, and not that of the SDK.
        with create_session() as session:
            session.add(Connection(conn_id=conn_id, conn_type=conn_type, **fields))  # noqa: AIR311

    return store


def stored_password():
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return session.scalar(select(Connection._password))  # noqa: AIR311


def test_without_a_connection_there_is_nothing_to_show(page):
    answer = page.capacity()
    assert (answer["connections"], answer["connection"], answer["capacity"]) == ([], None, None)
    assert answer["trouble"] is None
    assert answer["waits"]["total"] == 0


def test_those_of_the_database_and_of_the_environment_are_found(page, store, monkeypatch):
    store("of_the_database")
    store("of_another_service", "http")
    monkeypatch.setenv("AIRFLOW_CONN_AS_JSON", '{"conn_type": "pixverse"}')
    monkeypatch.setenv("AIRFLOW_CONN_AS_URI", "pixverse://:token@")
    monkeypatch.setenv("AIRFLOW_CONN_OTHER_JSON", '{"conn_type": "http"}')
    monkeypatch.setenv("AIRFLOW_CONN_OTHER_URI", "http://pixverse://")
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", "{")
    monkeypatch.setenv("AIRFLOW_CONN_LIST", '{"conn_type": ["pixverse"]}')
    assert page.capacity()["connections"] == ["as_json", "as_uri", "of_the_database"]


def test_one_that_is_stored_in_the_database_is_used_although_it_is_encrypted(page, sim, store, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_PIXVERSE_DEFAULT")
    store("stored", host=sim.url, password=sim.token)
    assert stored_password() != sim.token
    answer = page.capacity()
    assert (answer["connection"], answer["trouble"]) == ("stored", None)
    assert answer["capacity"]["free"] == 6


def test_the_one_that_is_chosen_is_used(page, sim, store, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_GOOD", json.dumps(sim.connection))
    monkeypatch.setenv("AIRFLOW_CONN_BAD", json.dumps(sim.connection | {"password": ""}))
    assert page.capacity(conn_id="bad")["trouble"]["kind"] == "connection"
    answer = page.capacity(conn_id="good")
    assert (answer["connection"], answer["trouble"]) == ("good", None)


@pytest.mark.parametrize("conn_id", ["of_another_service", "missing", "", "../x"])
def test_others_cannot_be_asked_for(page, sim, store, conn_id):
    store("of_another_service", "http", host=sim.url, password=sim.token)
    answer = page.client().get("/pixverse/api/capacity", params={"conn_id": conn_id})
    assert answer.status_code == 404
    assert sim.request_count == 0


def test_the_default_connection_is_the_one_to_begin_with(page, sim, store):
    store("another")
    answer = page.capacity()
    assert answer["connections"] == ["another", "pixverse_default"]
    assert answer["connection"] == "pixverse_default"
