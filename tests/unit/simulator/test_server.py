"""Starting, stopping and load."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
import requests

from airflow_pixverse.simulator import Simulator, faults

PATH = "/v2/pixverse/scheduler/available"


def test_it_serves_on_a_free_port_while_it_is_open(connect):
    with Simulator() as first, Simulator() as second:
        assert first.port != second.port
        assert (
            connect(first).get("/scheduler/").status_code
            == connect(second).get("/scheduler/").status_code
            == 200
        )
    with pytest.raises(requests.ConnectionError):
        connect(first).get("/scheduler/")


def test_its_connection_is_what_airflow_needs():
    simulator = Simulator(token="user:7-x", port=8900)
    assert simulator.connection == {
        "conn_type": "pixverse",
        "host": "http://127.0.0.1:8900",
        "password": "user:7-x",
        "extra": '{"allow_private_results": true}',
    }


def test_it_comes_back_on_the_same_port_with_the_same_jobs(sim, connect):
    api, port, job = connect(sim), sim.port, sim.start_job()
    api.get("/scheduler/")
    sim.stop()
    with pytest.raises(requests.ConnectionError):
        api.get("/scheduler/")
    sim.start()
    assert sim.port == port
    assert [seen["id"] for seen in api.get("/scheduler/").json()] == [job]


def test_starting_it_twice_is_refused_and_stopping_it_twice_is_not(sim):
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


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
def test_any_loopback_address_will_do(host, connect):
    with Simulator(host=host) as simulator:
        assert connect(simulator).get("/scheduler/").status_code == 200


def test_ipv6_loopback_will_do_where_there_is_one(connect):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with Simulator(host="::1") as simulator:
        assert simulator.url == f"http://[::1]:{simulator.port}"
        assert connect(simulator).get("/scheduler/").status_code == 200


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"host": "0.0.0.0"}, "host"),
        ({"host": "192.0.2.1"}, "host"),
        ({"host": "example.com"}, "host"),
        ({"host": "::"}, "host"),
        ({"port": 65536}, "port"),
        ({"token": ""}, "token"),
        ({"token": " user:1-x"}, "token"),
        ({"schema": "2020-01-01"}, "schema"),
        ({"busy": -1}, "busy"),
        ({"arrivals": float("inf")}, "arrivals"),
        ({"job_seconds": (5, 2)}, "job_seconds"),
        ({"accounts": {"a@example.com": -1}}, "a@example.com"),
        ({"accounts": {"": 1}}, "accounts"),
    ],
)
def test_what_it_cannot_be_made_of_is_refused_under_its_name(options, field):
    with pytest.raises(ValueError, match=f"^{field}: "):
        Simulator(**options)


def test_busy_means_that_no_slot_is_free_for_that_long():
    now = 1000.0
    simulator = Simulator({"a@example.com": 4}, busy=20, clock=lambda: now)
    now = 1019.9
    assert simulator.free() == 0
    now = 1020.0
    assert simulator.free() == 1
    now = 1024.0
    assert simulator.free() == 4


@pytest.mark.parametrize("fault", [faults.slow(3600), faults.drip(3600), faults.oversized(1 << 40)])
def test_it_stops_whatever_clients_are_doing(fault, caplog):
    simulator = Simulator().start()
    with ExitStack() as stack:
        idle = [stack.enter_context(_connection(simulator)) for _ in range(50)]
        for connection in idle:
            connection.request("GET", PATH)
        for connection in idle:
            connection.getresponse().read()
        simulator.inject(fault, times=None)
        for _ in range(50):
            stack.enter_context(_connection(simulator)).request("GET", PATH)
        simulator.wait_for_requests(100)
        # The answers would take an hour, the test gets a minute.
        stopping = threading.Thread(target=simulator.stop, daemon=True)
        stopping.start()
        stopping.join(60)
        assert not stopping.is_alive()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert "pixverse-simulator" not in {thread.name for thread in threading.enumerate()}


def _connection(simulator):
    return closing(http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=60))


def test_hundreds_of_clients_are_all_answered_at_once(sim):
    together = threading.Barrier(300)

    def ask(_):
        with _connection(sim) as connection:
            together.wait(60)
            answers = []
            for _ in range(5):
                connection.request(
                    "POST", "/v2/pixverse/videos/create", headers={"Authorization": f"Bearer {sim.token}"}
                )
                response = connection.getresponse()
                response.read()
                answers.append(response.status)
            return answers

    with ThreadPoolExecutor(300) as pool:
        answers = [status for answer in pool.map(ask, range(300)) for status in answer]
    assert (answers.count(200), answers.count(429)) == (6, 1494)
    assert sim.request_count == 1500
