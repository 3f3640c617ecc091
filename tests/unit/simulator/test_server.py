"""Starting, stopping and load."""

import logging
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain

import pytest
import requests

from airflow_pixverse.simulator import Simulator, faults
from tests.unit.simulator.helpers import connection_to

PATH = "/v2/pixverse/scheduler/available"


def test_a_simulator_serves_on_a_free_port_while_it_is_open(connect):
    with Simulator() as first, Simulator() as second:
        assert first.port != second.port
        assert [connect(one).get("/scheduler/").status_code for one in (first, second)] == [200, 200]
    with pytest.raises(requests.ConnectionError):
        connect(first).get("/scheduler/")


def test_the_connection_has_the_fields_that_airflow_needs():
    simulator = Simulator(token="user:7-x", port=8900)
    assert simulator.connection == {
        "conn_type": "pixverse",
        "host": "http://127.0.0.1:8900",
        "password": "user:7-x",
        "extra": '{"allow_private_results": true}',
    }


def test_a_simulator_that_starts_again_has_the_same_port_and_jobs(sim, connect):
    api, port, job = connect(sim), sim.port, sim.start_job()
    api.get("/scheduler/")
    sim.stop()
    with pytest.raises(requests.ConnectionError):
        api.get("/scheduler/")
    sim.start()
    assert sim.port == port
    assert [seen["id"] for seen in api.get("/scheduler/").json()] == [job]


def test_a_simulator_can_be_stopped_twice_and_not_started_twice(sim):
    with pytest.raises(RuntimeError, match="running already"):
        sim.start()
    sim.stop()
    sim.stop()


def test_a_taken_port_is_an_os_error_and_can_be_tried_again(sim):
    other = Simulator(port=sim.port)
    with pytest.raises(OSError, match="in use"):
        other.start()
    sim.stop()
    with other:
        assert other.port == sim.port


@pytest.mark.parametrize(
    ("host", "origin"),
    [("localhost", "http://127.0.0.1"), ("127.0.0.2", "http://127.0.0.2"), ("::1", "http://[::1]")],
)
def test_a_simulator_serves_on_any_loopback_address(host, origin, connect):
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        pytest.skip(f"no {host} here")
    with Simulator(host=host) as simulator:
        assert simulator.url == f"{origin}:{simulator.port}"
        assert connect(simulator).get("/scheduler/").status_code == 200


def test_no_slot_is_free_while_a_simulator_is_busy():
    now = 1000.0
    simulator = Simulator({"a@example.com": 4}, busy=20, clock=lambda: now)
    now = 1019.9
    assert simulator.free() == 0
    now = 1020.0
    assert simulator.free() == 1
    now = 1024.0
    assert simulator.free() == 4


@pytest.mark.parametrize("fault", [faults.slow(3600), faults.drip(3600), faults.oversized(1 << 40)])
def test_a_simulator_stops_whatever_clients_are_doing(fault, caplog):
    simulator = Simulator().start()
    with ExitStack() as stack:
        idle = [stack.enter_context(connection_to(simulator)) for _ in range(50)]
        for connection in idle:
            connection.request("GET", PATH)
        for connection in idle:
            connection.getresponse().read()
        simulator.inject(fault, times=None)
        for _ in range(50):
            stack.enter_context(connection_to(simulator)).request("GET", PATH)
        simulator.wait_for_requests(100)
        # The answers would take an hour, the test gets a minute.
        stopping = threading.Thread(target=simulator.stop, daemon=True)
        stopping.start()
        stopping.join(60)
        assert not stopping.is_alive()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert "pixverse-simulator" not in {thread.name for thread in threading.enumerate()}


def test_hundreds_of_clients_are_all_answered_at_once(sim):
    together = threading.Barrier(300)

    def submit(connection):
        headers = {"Authorization": f"Bearer {sim.token}"}
        connection.request("POST", "/v2/pixverse/videos/create", headers=headers)
        response = connection.getresponse()
        response.read()
        return response.status

    def submit_five(_):
        with connection_to(sim) as connection:
            together.wait(60)
            return [submit(connection) for _ in range(5)]

    with ThreadPoolExecutor(300) as pool:
        answers = Counter(chain.from_iterable(pool.map(submit_five, range(300))))
    assert answers == {200: 6, 429: 1494}
    assert sim.request_count == 1500
