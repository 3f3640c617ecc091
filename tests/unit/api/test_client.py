"""The client: its parameters, how often it asks again, and what ``client.request`` sends."""

import json
import time

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import (
    PixverseAuthError,
    PixverseFatalError,
    PixverseRateLimitError,
    PixverseTransientError,
)
from airflow_pixverse.simulator import faults
from tests.helpers.clients import client_of, error_of
from tests.helpers.raw_server import answer, once

JOB = "user:12-pixverse:mary-jane@example.com-video:34"


def parts(request: bytes) -> tuple[list[str], bytes]:
    """The lines of the head of a request, and its body."""
    head, _, body = request.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


# Parameters


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"token": " "}, "token is empty"),
        ({"token": "Bearer user:1-abc"}, "token begins with the word Bearer"),
        ({"token": "user:1-a\nX-Evil: 1"}, "token holds control"),
        ({"token": "user:1-ü"}, "token holds control"),
        ({"token": "t", "base_url": "https://me:pw@api.useapi.net"}, "base_url"),
        ({"token": "t", "base_url": "https://api.useapi.net\\@pw"}, "base_url"),
        ({"token": "t", "timeout": (10, 1e10)}, "timeout"),
        ({"token": "t", "timeout": (0, 10)}, "timeout"),
        ({"token": "t", "timeout": (10, float("nan"))}, "timeout"),
    ],
)
def test_parameter_that_cannot_be_used_is_named_without_a_secret(arguments, name):
    with pytest.raises(ValueError, match=name) as caught:
        PixverseClient(**arguments)
    assert "Evil" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_timeout_of_a_day_is_accepted():
    assert PixverseClient("t", timeout=(86_400, 86_400)).call_timeout == 2 * 86_400


def test_identity_is_that_of_service_and_token():
    identity = PixverseClient("user:1-a").identity
    same = [
        PixverseClient(" user:1-a "),
        PixverseClient("user:1-a", "https://API.useapi.net:443/", max_retries=0, label="connection 'b'"),
        PixverseClient("user:1-a", "https://api.useapi.net/v2/pixverse", (1, 1), proxy="http://proxy:3128"),
    ]
    others = [
        PixverseClient("user:1-b"),
        PixverseClient("user:1-A"),
        PixverseClient("user:1-a", "http://api.useapi.net"),
        PixverseClient("user:1-a", "https://api.useapi.net:444"),
        PixverseClient("user:1-a", "https://api.useapi.net/v1"),
    ]
    assert {client.identity for client in same} == {identity}
    assert len({identity, *(client.identity for client in others)}) == 1 + len(others)
    assert "user" not in identity
    assert "useapi" not in identity


# Retries


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 412, 422, 596])
def test_call_with_a_fatal_status_is_not_repeated(sim, status):
    sim.inject(faults.status(status), times=None)
    error = error_of(client_of(sim, max_retries=5).get_capacity, kind=PixverseFatalError)
    assert f"GET scheduler/available answered {status}" in str(error)
    assert (error.status, error.method, error.path) == (status, "GET", "scheduler/available")
    assert isinstance(error, PixverseAuthError) == (status in {401, 403})
    assert sim.request_count == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 527])
def test_call_with_a_transient_status_is_repeated_until_the_retries_are_used_up(sim, status):
    sim.inject(faults.status(status), times=None)
    error = error_of(client_of(sim, max_retries=2).get_capacity, kind=PixverseTransientError)
    assert (error.status, error.method, error.path) == (status, "GET", "scheduler/available")
    assert isinstance(error, PixverseRateLimitError) == (status == 429)
    assert sim.request_count == 3


@pytest.mark.parametrize(
    "fault",
    [
        faults.html(200),
        faults.html(502),
        faults.broken_json(),
        faults.truncated(),
        faults.reset(),
        faults.oversized(6 * 1024 * 1024),
        faults.error_in_200("out of order"),
        faults.error_in_200({"message": "out of order"}, code=500),
    ],
)
def test_call_with_a_transient_fault_succeeds_at_a_retry(sim, fault):
    sim.inject(fault)
    assert client_of(sim, max_retries=1).get_capacity().free_slots() == 6
    assert sim.request_count == 2


@pytest.fixture
def naps(monkeypatch):
    """The seconds that clients have slept, which takes no time."""
    naps = []
    monkeypatch.setattr(time, "sleep", naps.append)
    return naps


@pytest.mark.parametrize(
    ("fault", "longest", "least"),
    [
        (faults.rate_limit(retry_after=1), 30, [1, 1, 1, 1]),
        (faults.rate_limit(retry_after=3600), 2.5, [2.5, 2.5, 2.5, 2.5]),
        (faults.status(503), 30, [0.5, 1, 2, 4]),
        (faults.status(503), 1, [0.5, 1, 1, 1]),
    ],
    ids=["as the server asks", "bounded by the caller", "backoff", "bounded backoff"],
)
def test_retry_waits_as_asked_or_twice_as_long_up_to_the_bound(sim, naps, fault, longest, least):
    sim.inject(fault, times=4)
    client_of(sim, max_retries=4, max_retry_wait=longest).get_capacity()
    for nap, shortest in zip(naps, least, strict=True):
        assert shortest <= nap <= min(longest, shortest * 1.25)


def test_retry_wait_is_jittered(sim, naps):
    sim.inject(faults.status(503), times=4)
    client_of(sim, max_retries=4, max_retry_wait=30).get_capacity()
    assert len({nap % 0.5 for nap in naps}) > 1


def test_retry_wait_stays_a_number_however_many_retries_there_are():
    assert PixverseClient("t")._retry_wait(10_000, None) == 30
    assert PixverseClient("t", max_retry_wait=7)._retry_wait(10_000, None) == 7


# The request


def test_token_is_not_replaced_by_a_netrc_entry(sim, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    client_of(sim).get_capacity()
    assert sim.requests[0].headers["Authorization"] == "authorized"


def test_call_asks_for_a_plain_body_and_nothing_else(raw_server):
    server = raw_server()
    client_of(server, user_agent="me/1").get_capacity()
    head, _ = parts(server.requests[0][1])
    names = {line.partition(":")[0] for line in head[1:]}
    assert names == {"Host", "Accept", "Accept-Encoding", "User-Agent", "Authorization"}
    assert {"Accept: application/json", "Accept-Encoding: identity", "User-Agent: me/1"} <= set(head)


@pytest.mark.parametrize("method", ["get", "POST", "DELETE"])
def test_request_sends_parameters_and_a_body_with_any_method(raw_server, method):
    server = raw_server(answer(b'{"video_id": ["x", null]}'))
    body = {"prompt": "a cat \N{CAT FACE}", "maxJobs": 3}
    params = {"email": "a+b@x.com", "limit": 5}
    answered = client_of(server).request(method, f"videos/{JOB}", params=params, json=body)
    assert answered == {"video_id": ["x", None]}
    head, sent = parts(server.requests[0][1])
    assert head[0] == f"{method.upper()} /v2/pixverse/videos/{JOB}?email=a%2Bb%40x.com&limit=5 HTTP/1.1"
    assert {"Authorization: Bearer user:1-token", "Content-Type: application/json"} <= set(head)
    assert json.loads(sent) == body


@pytest.mark.parametrize(
    ("path", "json"),
    [
        *[(f"scheduler/{odd}", None) for odd in ("../../../admin", "a/../b", "./a", "a b", "a?b=c", "a#b")],
        *[
            (f"scheduler/{odd}", None)
            for odd in ("a%2fb", "a%41", "\u00fc", "a\r\nX-Evil: 1", "a\\b", "\ud800")
        ],
        *[("videos/create", odd) for odd in ({"x": float("nan")}, {"x": object()}, {1j: 2})],
    ],
)
def test_request_that_would_not_arrive_as_it_is_is_not_sent(raw_server, path, json):
    server = raw_server()
    error = error_of(client_of(server).request, "DELETE", path, json=json, kind=PixverseFatalError)
    assert f": DELETE {path[:10]}" in str(error)
    assert " cannot be sent: the path, query or body" in str(error)
    assert error.method == "DELETE"
    assert server.connections == 0


@pytest.mark.parametrize(
    ("status", "body", "value"),
    [("204 No Content", b"", None), ("200 OK", b"", None), ("200 OK", b"null", None), ("200 OK", b"[]", [])],
)
def test_request_to_delete_may_be_answered_with_nothing(raw_server, status, body, value):
    assert client_of(raw_server(answer(body, status))).request("DELETE", f"scheduler/{JOB}") == value


def test_request_to_get_that_is_answered_with_nothing_is_transient(raw_server):
    with pytest.raises(PixverseTransientError, match="not JSON"):
        client_of(raw_server(answer(b""))).request("GET", "scheduler/")


def test_request_to_get_is_repeated_after_transient_errors(sim):
    sim.inject(faults.status(503), times=2)
    assert "available" in client_of(sim, max_retries=2).request("get", "scheduler/available")
    assert sim.request_count == 3


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
@pytest.mark.parametrize(
    "then", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", answer(status="503 Bad"), b"\x00\x01"]
)
def test_request_of_another_method_is_sent_once_whatever_becomes_of_it(raw_server, method, then):
    server = raw_server(once(then))
    with pytest.raises(PixverseTransientError):
        client_of(server, max_retries=3).request(method, "videos/create", json={})
    assert len(server.requests) == 1


def test_request_to_post_and_submit_have_connections_of_their_own(raw_server):
    server = raw_server(answer(b'{"video_id": "x"}'))
    with client_of(server) as client:
        client.get_capacity()
        client.get_capacity()
        client.request("POST", "videos/create", json={})
        client.submit("videos/create", {})
        client.get_capacity()
    assert [connection for connection, _ in server.requests] == [1, 1, 2, 3, 4]
