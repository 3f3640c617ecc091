"""The load on the service and on Airflow's database, which does not depend on the number of users."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow.models.trigger import Trigger

from airflow_pixverse.page import capacity, database
from airflow_pixverse.simulator import faults
from tests.page.airflow_data import defer

CLIENTS = 20


@pytest.fixture
def queries(airflow_db):
    """The statements sent to Airflow's database, oldest first."""
    from airflow import settings
    from sqlalchemy import event

    seen = []

    def record(_conn, _cursor, statement, *_args):
        seen.append(statement)

    event.listen(settings.engine, "before_cursor_execute", record)
    yield seen
    event.remove(settings.engine, "before_cursor_execute", record)


def results_at_once(function):
    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(lambda _: function(), range(3 * CLIENTS)))


def test_many_users_cause_one_poll(page, sim):
    answers = results_at_once(page.capacity)
    assert {answer["taken_at"] for answer in answers} == {answers[0]["taken_at"]}
    assert answers[0]["capacity"]["free"] == 6
    # The first poll also reads the accounts.
    paths = [request.path.rpartition("/")[2] for request in sim.requests]
    assert sorted(paths) == ["accounts", "available"]


@pytest.mark.parametrize("is_down", [False, True])
def test_a_poll_follows_ten_seconds_after_each_call_of_the_one_before(sim, monkeypatch, is_down):
    monkeypatch.setattr(capacity, "FIRST_POLL_WAITS", 60.0)
    if is_down:
        sim.inject(faults.status(503), None)
    now = 1000.0
    poller = capacity.CapacityPoller("pixverse_default", clock=lambda: now)

    def calls():
        """Return the number of calls once the poll that may be due has ended."""
        asyncio.run(poller.latest())
        for thread in threading.enumerate():
            if thread.name == "pixverse-page":
                thread.join(60)
        return sim.request_count

    # The first poll also reads the accounts, unless it fails.
    first, pause = (1, 10.0) if is_down else (2, 20.0)
    assert calls() == first
    for seconds, more in [(pause - 0.1, 0), (0.1, 1), (9.9, 1), (0.1, 2)]:
        now += seconds
        assert calls() == first + more


def test_a_service_that_does_not_answer_blocks_no_request(page, sim, monkeypatch):
    monkeypatch.setattr(capacity, "FIRST_POLL_WAITS", 0.2)
    sim.inject(faults.slow(3600), None)
    answers = results_at_once(page.capacity)
    assert {answer["problem"]["kind"] for answer in answers} == {"network"}
    sim.wait_for_requests(1)
    assert sim.request_count == 1
    assert [thread.name for thread in threading.enumerate()].count("pixverse-page") == 1
    sim.stop()


def test_the_last_snapshot_stays_while_a_later_poll_hangs(page, sim, monkeypatch):
    monkeypatch.setattr(capacity, "POLL_EVERY", 0.0)
    monkeypatch.setattr(capacity, "_SLOW_AFTER", 0.0)
    first = page.capacity()
    requests = sim.request_count
    sim.inject(faults.slow(3600), None)
    answers = [page.capacity() for _ in range(3)]
    sim.wait_for_requests(requests + 1)
    assert sim.request_count == requests + 1
    for key in ("capacity", "taken_at"):
        assert all(answer[key] == first[key] for answer in answers)
    assert answers[-1]["problem"]["kind"] == "network"
    sim.stop()


def test_a_thousand_waits_are_read_in_five_queries_and_decrypted_once(page, sim, queries, monkeypatch):
    defer("many", [{"waiting_since": float(number)} for number in range(1000)])
    decrypted = []
    decrypt = Trigger._decrypt_kwargs
    monkeypatch.setattr(
        Trigger, "_decrypt_kwargs", staticmethod(lambda text: decrypted.append(text) or decrypt(text))
    )
    monkeypatch.setattr(database, "READ_EVERY", 0.0)
    reader = database.DatabaseReader()
    for _ in range(3):
        queries.clear()
        snapshot = reader.latest()
        assert len([query for query in queries if query.startswith("SELECT")]) == 5
    assert len(snapshot.waits["pixverse_default"]) == 1000
    assert len(decrypted) == 1000


def test_the_database_is_not_read_again_at_once(page, sim, queries, monkeypatch):
    monkeypatch.setattr(database, "READ_EVERY", 3600.0)
    reader = database.DatabaseReader()
    first = reader.latest()
    queries.clear()
    assert all(snapshot is first for snapshot in results_at_once(reader.latest))
    assert queries == []
