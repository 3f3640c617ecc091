"""A call ends within its total time limit, at whatever point a server begins to drip."""

import socket
import threading
from functools import partial

import pytest
import requests

from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.api.http.deadline import Deadline, DeadlineAdapter
from tests.helpers import clients
from tests.helpers.raw_server import always, answer, dripping

LIMITS = (0.1, 1.9)  # much more than a drip needs, so that a busy machine does not look silent
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
TOO_LATE = r"GET scheduler/available got no whole answer within 2 s"


client_of = partial(clients.client_of, timeout=LIMITS)


def assert_given_up(client, words=TOO_LATE):
    with pytest.raises(PixverseTransientError, match=words):
        client.get_capacity()


@pytest.fixture
def connection():
    """A connection: our socket, which a deadline may shut down, and theirs, which notices."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize(
    ("begin", "unit"),
    [
        pytest.param(b"HTTP/1.1 200 ", b"x", id="status line"),
        pytest.param(OK + b"X-Slow: ", b"x", id="header"),
        pytest.param(OK, b"X-Slow: x\r\n", id="headers"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="100 Continue"),
        pytest.param(CHUNKED, b"0", id="chunk size"),
        pytest.param(CHUNKED + b"2;", b"x", id="chunk extension"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-Slow: x\r\n", id="trailers"),
        pytest.param(CHUNKED, b"1\r\n \r\n", id="chunks"),
        pytest.param(OK + b"Content-Length: 999999\r\n\r\n", b" ", id="body"),
        # Once its socket is shut down, this one looks whole.
        pytest.param(OK + b"\r\n{}", b" ", id="body until the connection is closed"),
        pytest.param(b"HTTP/1.1 404 Not Found\r\n\r\n", b" ", id="body of an error"),
    ],
)
def test_answer_that_drips_is_given_up(raw_server, begin, unit):
    server = raw_server(dripping(begin, unit))
    assert_given_up(client_of(server))
    assert server.hung_up.wait(10)


def test_answer_that_drips_over_a_connection_kept_alive_is_given_up(raw_server):
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(answer())
        server.read_request(connection)
        server.drip(connection, b"H")

    server = raw_server(serve)
    with client_of(server) as client:
        client.get_capacity()
        assert_given_up(client)
        assert server.hung_up.wait(10)
        assert server.connections == 1


def test_tls_handshake_that_drips_is_given_up(raw_server):
    def serve(server, connection):
        connection.sendall(b"\x16\x03\x03\x40\x00")
        server.drip(connection, b"\x02")

    server = raw_server(serve)
    # The standard library limits a handshake too, and then says that the server was silent.
    assert_given_up(client_of(f"https://127.0.0.1:{server.port}"), r"within 2 s|silent for [12]\.\d s")
    assert server.hung_up.wait(10)


def test_answer_that_drips_over_tls_is_given_up(raw_server, tls):
    context, certificate = tls
    server = raw_server(dripping(b"", b"H"), context)
    assert_given_up(
        client_of(server, ca_bundle=certificate, timeout=(1.5, 1.5)), "no whole answer within 3 s"
    )
    assert server.hung_up.wait(10)


def test_proxy_that_drips_is_given_up(raw_server):
    proxy = raw_server(dripping(b"", b"H"))
    assert_given_up(client_of("https://service.invalid", proxy=proxy.url))
    assert proxy.hung_up.wait(10)
    assert proxy.requests[0][1].startswith(b"CONNECT service.invalid:443 ")


def test_redirects_share_one_limit(raw_server):
    def serve(server, connection):
        server.read_request(connection)
        # Each is quick enough by itself.
        threading.Event().wait(0.8)
        connection.sendall(answer(status="302 Found", headers="Location: /v2/pixverse/again\r\n"))

    server = raw_server(serve)
    assert_given_up(client_of(server))
    assert server.connections <= 3


def test_host_that_takes_no_connection_is_given_up(full_port):
    assert_given_up(client_of(f"http://127.0.0.1:{full_port}"), r"cannot connect within 0\.1 s")


def test_host_with_several_addresses_is_tried_at_each(raw_server, addresses):
    server = raw_server()
    addresses += [1, server.port]
    assert client_of("http://service.invalid").get_capacity().free_slots() == 0


def test_host_without_addresses_is_one_that_takes_no_connection(addresses):
    assert not addresses
    assert_given_up(client_of("http://service.invalid"), "got no answer: cannot connect$")


def test_socket_that_connects_is_shut_down(full_port):
    request = requests.Request("GET", f"http://127.0.0.1:{full_port}").prepare()
    with Deadline(0.1) as deadline, pytest.raises(requests.ConnectionError):
        DeadlineAdapter().send(request, timeout=10_000)
    assert deadline.passed


def test_socket_that_comes_too_late_is_shut_down_at_once(connection):
    ours, theirs = connection
    early, other = socket.socketpair()
    with early, other, Deadline(0.01) as deadline:
        deadline.watch(early.fileno())
        assert other.recv(1) == b"", "the deadline has passed"
        deadline.watch(ours.fileno())
        assert theirs.recv(1) == b""


def test_socket_that_is_not_connected_keeps_no_other_from_being_shut_down(connection):
    ours, theirs = connection
    with socket.socket() as unconnected, Deadline(0.01) as deadline:
        deadline.watch(unconnected.fileno())
        deadline.watch(ours.fileno())
        assert theirs.recv(1) == b""


def test_connection_of_a_call_in_time_is_closed_with_the_client(raw_server):
    def serve(server, connection):
        always(answer())(server, connection)
        server.hung_up.set()

    server = raw_server(serve)
    with client_of(server) as client:
        client.get_capacity()
        client.get_capacity()
        assert server.connections == 1
    assert server.hung_up.wait(10), "no duplicate of the socket is left"


def test_deadline_that_is_postponed_counts_from_then_on(connection):
    ours, theirs = connection
    with Deadline(1.0) as deadline:
        deadline.watch(ours.fileno())
        for _ in range(4):
            threading.Event().wait(0.3)
            deadline.postpone()
        assert not deadline.passed, "more time than that has passed"
        assert theirs.recv(1) == b"", "it passes all the same"
        assert deadline.passed


def test_deadline_that_is_paused_passes_only_once_it_goes_on(connection):
    ours, theirs = connection
    with Deadline(0.1) as deadline:
        deadline.watch(ours.fileno())
        deadline.pause()
        threading.Event().wait(0.4)
        assert not deadline.passed
        deadline.postpone()
        assert theirs.recv(1) == b""
        assert deadline.passed
