"""``client.request``: any method; reads are repeated, anything else is sent once at most."""

import json

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.simulator import faults

from .raw_server import RawServer, always, answer

JOB = "user:12-pixverse:mary-jane@example.com-video:34"


def client_of(server, **kwargs):
    return PixverseClient("user:1-token", server.url, **{"max_retries": 0, "max_retry_wait": 0, **kwargs})


def test_a_get_returns_plain_json(sim):
    client = PixverseClient(sim.token, sim.url)
    sim.respond_with("videos/", {"videos": [1, None, {"x": "y"}]})
    assert client.request("get", "videos/") == {"videos": [1, None, {"x": "y"}]}
    assert sim.requests[0].method == "GET"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_parameters_and_a_body_go_with_any_method(method):
    with RawServer(always(answer())) as server:
        client_of(server).request(method, "videos/", params={"email": "a+b@x.com", "limit": 5}, json={"a": 1})
    head, _, sent = server.requests[0][1].partition(b"\r\n\r\n")
    assert head.startswith(f"{method} /v2/pixverse/videos/?email=a%2Bb%40x.com&limit=5 HTTP/1.1\r\n".encode())
    assert json.loads(sent) == {"a": 1}


def test_a_get_is_repeated_after_transient_trouble(sim):
    sim.inject(faults.status(503), times=2)
    client = PixverseClient(sim.token, sim.url, max_retries=2, max_retry_wait=0)
    assert "available" in client.request("GET", "scheduler/available")
    assert sim.request_count == 3


def test_a_post_carries_its_json():
    with RawServer(always(answer(b'{"video_id": "x"}'))) as server:
        body = {"prompt": "a cat \N{CAT FACE}", "maxJobs": 3}
        assert client_of(server).request("POST", "videos/create", json=body) == {"video_id": "x"}
    head, _, sent = server.requests[0][1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/pixverse/videos/create HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer user:1-token\r\n" in head + b"\r\n"
    assert b"\r\nContent-Type: application/json\r\n" in head + b"\r\n"
    assert json.loads(sent) == body


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_id_goes_into_the_path_as_it_is(method):
    with RawServer(always(answer())) as server:
        client_of(server).request(method, f"scheduler/{JOB}")
    assert server.requests[0][1].startswith(f"{method} /v2/pixverse/scheduler/{JOB} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    "job_id",
    [
        "../../../admin",
        "a/../b",
        "./a",
        "a b",
        "a?b=c",
        "a#b",
        "a%2fb",
        "a%41",
        "\N{LATIN SMALL LETTER U WITH DIAERESIS}",
        "a\r\nX-Evil: 1",
        "a\\b",
        "\ud800",
    ],
)
def test_an_id_that_would_arrive_as_another_one_is_not_sent(job_id):
    with RawServer(always(answer())) as server:
        with pytest.raises(
            PixverseFatalError, match=r": DELETE scheduler/.* cannot be sent: the path"
        ) as caught:
            client_of(server).request("DELETE", f"scheduler/{job_id}")
        assert caught.value.method == "DELETE"
        assert server.connections == 0


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": object()}, {1j: 2}])
def test_a_body_that_is_no_json_is_not_sent(body):
    with RawServer(always(answer())) as server:
        with pytest.raises(PixverseFatalError, match="cannot be sent"):
            client_of(server).request("POST", "videos/create", json=body)
        assert server.connections == 0


@pytest.mark.parametrize(
    ("headers", "body", "value"),
    [("204 No Content", b"", None), ("200 OK", b"", None), ("200 OK", b"null", None), ("200 OK", b"[]", [])],
)
def test_an_empty_answer_to_a_delete_is_none(headers, body, value):
    with RawServer(always(answer(body, headers))) as server:
        assert client_of(server).request("DELETE", f"scheduler/{JOB}") == value


def test_an_empty_answer_to_a_get_is_trouble():
    with RawServer(always(answer(b""))) as server, pytest.raises(PixverseTransientError, match="not JSON"):
        client_of(server).request("GET", "scheduler/")


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
@pytest.mark.parametrize(
    "then", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", answer(status="503 Bad"), b"\x00\x01"]
)
def test_anything_but_a_get_is_sent_once_whatever_becomes_of_it(method, then):
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(then)

    with RawServer(serve) as server:
        with pytest.raises(PixverseTransientError):
            client_of(server, max_retries=3).request(method, "videos/create", json={})
        assert len(server.requests) == 1


def test_a_post_takes_no_connection_that_the_server_may_just_be_closing():
    with RawServer(always(answer())) as server, client_of(server) as client:
        client.get_capacity()
        client.get_capacity()
        client.request("POST", "videos/create", json={})
        client.get_capacity()
        assert [connection for connection, _ in server.requests] == [1, 1, 2, 3]


def test_what_is_sent_asks_for_a_plain_body_and_nothing_else():
    with RawServer(always(answer())) as server:
        client_of(server, user_agent="me/1").get_capacity()
    head = server.requests[0][1].decode().split("\r\n\r\n")[0].split("\r\n")
    assert {line.split(":")[0] for line in head[1:]} == {
        "Host",
        "Accept",
        "Accept-Encoding",
        "User-Agent",
        "Authorization",
    }
    assert {"Accept: application/json", "Accept-Encoding: identity"} <= set(head)
