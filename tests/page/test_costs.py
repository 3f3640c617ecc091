"""What the page costs the service and Airflow's database, however many look."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_pixverse.page import capacity
from airflow_pixverse.simulator import faults
from tests.page.airflow_data import defer

CLIENTS = 20


@pytest.fixture
def queries(airflow_db):
    """The statements sent to Airflow's database by threads of the page, oldest first."""
    from airflow import settings
    from sqlalchemy import event

    seen = []

    def note(_conn, _cursor, statement, *_args):
        seen.append(statement)

    event.listen(settings.engine, "before_cursor_execute", note)
    yield seen
    event.remove(settings.engine, "before_cursor_execute", note)


def capacity_calls(sim):
    return [request.path for request in sim.requests if request.path.endswith("scheduler/available")]


def test_however_many_look_the_service_is_asked_once(page, sim):
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda _: page.capacity(), range(3 * CLIENTS)))
    assert {answer["taken_at"] for answer in answers} == {answers[0]["taken_at"]}
    assert answers[0]["capacity"]["free"] == 6
    # The accounts are asked for once in five minutes, and the next call comes later for that.
    assert len(capacity_calls(sim)) == 1
    assert sim.request_count == 2


@pytest.mark.parametrize("trouble", [False, True])
def test_it_is_asked_again_when_the_calls_before_are_ten_seconds_old_each(sim, monkeypatch, trouble):
    monkeypatch.setattr(capacity, "FIRST_LOOK_WAITS", 60.0)
    if trouble:
        sim.inject(faults.status(503), None)
    now = 1000.0
    views = capacity.CapacityViews(clock=lambda: now)

    def calls():
        """Look, and return how many calls there were once the look under way has ended."""
        asyncio.run(views.latest("pixverse_default"))
        for thread in threading.enumerate():
            if thread.name == "pixverse-page":
                thread.join(60)
        return sim.request_count

    # The first look asks for the accounts too, unless it is in trouble.
    first, pause = (1, 10.0) if trouble else (2, 20.0)
    assert calls() == first
    now += pause - 0.1
    assert calls() == first
    now += 0.1
    assert calls() == first + 1
    now += 9.9
    assert calls() == first + 1
    now += 0.1
    assert calls() == first + 2


def test_a_service_that_does_not_answer_holds_nobody_up(page, sim, monkeypatch):
    monkeypatch.setattr(capacity, "FIRST_LOOK_WAITS", 0.2)
    sim.inject(faults.slow(3600), None)
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda _: page.capacity(), range(3 * CLIENTS)))
    assert {answer["trouble"]["kind"] for answer in answers} == {"network"}
    sim.wait_for_requests(1)
    assert sim.request_count == 1
    assert [thread.name for thread in threading.enumerate()].count("pixverse-page") == 1
    sim.stop()


def test_while_a_later_call_hangs_the_last_snapshot_is_there(page, sim, monkeypatch):
    monkeypatch.setattr(capacity, "CALL_EVERY", 0.0)
    monkeypatch.setattr(capacity, "_SLOW_AFTER", 0.0)
    first = page.capacity()
    requests = sim.request_count
    sim.inject(faults.slow(3600), None)
    answers = [page.capacity() for _ in range(3)]
    sim.wait_for_requests(requests + 1)
    assert sim.request_count == requests + 1
    assert all(answer["capacity"] == first["capacity"] for answer in answers)
    assert all(answer["taken_at"] == first["taken_at"] for answer in answers)
    assert answers[-1]["trouble"]["kind"] == "network"
    sim.stop()


def test_a_thousand_waits_are_read_in_four_queries_and_decrypted_once(page, sim, queries, monkeypatch):
    from airflow.models.trigger import Trigger

    from airflow_pixverse.page.database import DatabaseView

    defer("many", [{"waiting_since": float(number)} for number in range(1000)])
    decrypted = []
    decrypt = Trigger._decrypt_kwargs
    monkeypatch.setattr(
        Trigger, "_decrypt_kwargs", staticmethod(lambda text: decrypted.append(text) or decrypt(text))
    )
    monkeypatch.setattr("airflow_pixverse.page.database.READ_EVERY", 0.0)
    view = DatabaseView()
    for _ in range(3):
        queries.clear()
        seen = view.look()
        assert len([query for query in queries if query.startswith("SELECT")]) == 4
    assert len(seen.queues["pixverse_default"]) == 1000
    assert len(decrypted) == 1000


def test_the_database_is_not_read_again_at_once(page, sim, queries, monkeypatch):
    from airflow_pixverse.page.database import DatabaseView

    monkeypatch.setattr("airflow_pixverse.page.database.READ_EVERY", 3600.0)
    view = DatabaseView()
    first = view.look()
    queries.clear()
    with ThreadPoolExecutor(CLIENTS) as clients:
        assert all(seen is first for seen in clients.map(lambda _: view.look(), range(3 * CLIENTS)))
    assert queries == []
