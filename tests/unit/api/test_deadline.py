"""A call ends within its total time limit, at whatever point a server begins to drip."""

import socket
import threading

import pytest
import requests

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.deadline import Deadline, DeadlineAdapter
from airflow_pixverse.api.errors import PixverseTransientError

from .raw_server import RawServer, always, answer, tls_context

LIMITS = (0.1, 0.7)  # much more than a drip needs, so that a busy machine does not look silent
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
TOO_LATE = r"GET scheduler/available got no whole answer within 0\.8 s"


def client_of(server, **kwargs):
    return PixverseClient("user:1-token", server.url, **{"max_retries": 0, "timeout": LIMITS, **kwargs})


def test_the_total_limit_of_a_call_is_known():
    assert PixverseClient("t", timeout=(1.5, 3)).call_timeout == 4.5


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
def test_an_answer_that_drips_is_given_up(begin, unit):
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(begin)
        server.drip(connection, unit)

    with RawServer(serve) as server:
        with pytest.raises(PixverseTransientError, match=TOO_LATE):
            client_of(server).get_capacity()
        assert server.hung_up.wait(10)


def test_a_connection_kept_alive_has_the_limit_too():
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(answer())
        server.read_request(connection)
        server.drip(connection, b"H")

    with RawServer(serve) as server, client_of(server) as client:
        client.get_capacity()
        with pytest.raises(PixverseTransientError, match=TOO_LATE):
            client.get_capacity()
        assert server.hung_up.wait(10)
        assert server.connections == 1


def test_a_tls_handshake_that_drips_is_given_up():
    def serve(server, connection):
        connection.sendall(b"\x16\x03\x03\x40\x00")
        server.drip(connection, b"\x02")

    with RawServer(serve) as server:
        # The standard library limits a handshake too, and then says that the server was silent.
        with pytest.raises(PixverseTransientError, match=r"within 0\.8 s|silent for 0\.\d s"):
            PixverseClient("t", f"https://127.0.0.1:{server.port}", LIMITS, 0).get_capacity()
        assert server.hung_up.wait(10)


def test_an_answer_over_tls_that_drips_is_given_up(tmp_path):
    context, certificate = tls_context(tmp_path, "127.0.0.1")

    def serve(server, connection):
        server.read_request(connection)
        server.drip(connection, b"H")

    with RawServer(serve, context) as server:
        with pytest.raises(PixverseTransientError, match=r"no whole answer within 2 s"):
            client_of(server, ca_bundle=certificate, timeout=(1.5, 0.5)).get_capacity()
        assert server.hung_up.wait(10)


def test_a_proxy_that_drips_is_given_up():
    def serve(server, connection):
        server.read_request(connection)
        server.drip(connection, b"H")

    with RawServer(serve) as proxy:
        client = PixverseClient("t", "https://service.invalid", LIMITS, 0, proxy=proxy.url)
        with pytest.raises(PixverseTransientError, match=TOO_LATE):
            client.get_capacity()
        assert proxy.hung_up.wait(10)
        assert proxy.requests[0][1].startswith(b"CONNECT service.invalid:443 ")


def test_redirects_share_one_limit():
    def serve(server, connection):
        server.read_request(connection)
        # Each is quick enough by itself.
        threading.Event().wait(0.3)
        connection.sendall(answer(status="302 Found", headers="Location: /v2/pixverse/again\r\n"))

    with RawServer(serve) as server:
        with pytest.raises(PixverseTransientError, match=TOO_LATE):
            client_of(server).get_capacity()
        assert server.connections <= 3


def test_a_host_that_takes_no_connection_is_given_up(full_port):
    with pytest.raises(PixverseTransientError, match=r"cannot connect within 0\.1 s"):
        PixverseClient("t", f"http://127.0.0.1:{full_port}", LIMITS, 0).get_capacity()


def test_the_other_addresses_of_a_host_are_tried(addresses):
    with RawServer(lambda server, connection: connection.sendall(answer())) as server:
        addresses += [1, server.port]
        client = PixverseClient("t", "http://service.invalid", LIMITS, 0)
        assert client.get_capacity().free_slots() == 0


def test_a_host_without_addresses_is_one_that_takes_no_connection(addresses):
    assert not addresses
    with pytest.raises(PixverseTransientError, match=r"got no answer: cannot connect$"):
        PixverseClient("t", "http://service.invalid", LIMITS, 0).get_capacity()


def test_the_limit_ends_connecting_however_many_addresses_a_host_has(addresses, full_port):
    with RawServer(always(answer())) as server:
        addresses += [full_port] * 20 + [server.port]
        client = PixverseClient("t", "http://service.invalid", (0.2, 0.1), 0)
        with pytest.raises(PixverseTransientError, match=r"no whole answer within 0\.3"):
            client.get_capacity()
        assert server.connections == 0


def test_a_socket_is_shut_down_while_it_connects(full_port):
    request = requests.Request("GET", f"http://127.0.0.1:{full_port}").prepare()
    with Deadline(0.1) as deadline, pytest.raises(requests.ConnectionError):
        DeadlineAdapter().send(request, timeout=10_000)
    assert deadline.passed


def test_a_socket_that_comes_too_late_is_shut_down_at_once():
    ours, theirs = socket.socketpair()
    with ours, theirs, Deadline(0.01) as deadline:
        early, other = socket.socketpair()
        deadline.watch(early.fileno())
        assert other.recv(1) == b"", "the deadline has passed"
        deadline.watch(ours.fileno())
        assert theirs.recv(1) == b""
        early.close()
        other.close()


def test_a_socket_that_is_not_connected_keeps_no_other_from_being_shut_down():
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    with ours, theirs, socket.socket() as unconnected, Deadline(0.01) as deadline:
        deadline.watch(unconnected.fileno())
        deadline.watch(ours.fileno())
        assert theirs.recv(1) == b""


def test_a_call_that_ends_in_time_leaves_nothing_behind():
    def serve(server, connection):
        always(answer())(server, connection)
        server.hung_up.set()

    with RawServer(serve) as server:
        with client_of(server) as client:
            client.get_capacity()
            client.get_capacity()
            assert server.connections == 1
        assert server.hung_up.wait(10), "closing the client closes the connection, so no duplicate is left"


def test_a_deadline_that_is_postponed_counts_from_then_on():
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    with ours, theirs, Deadline(0.3) as deadline:
        deadline.watch(ours.fileno())
        for _ in range(4):
            threading.Event().wait(0.15)
            deadline.postpone()
        assert not deadline.passed, "twice as much time has passed"
        assert theirs.recv(1) == b"", "it passes all the same"
        assert deadline.passed


def test_a_deadline_that_is_paused_passes_only_once_it_goes_on():
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    with ours, theirs, Deadline(0.1) as deadline:
        deadline.watch(ours.fileno())
        deadline.pause()
        threading.Event().wait(0.4)
        assert not deadline.passed
        deadline.postpone()
        assert theirs.recv(1) == b""
        assert deadline.passed
