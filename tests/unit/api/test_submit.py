"""Submitting: once at most, and after each answer it is known what to do."""

import json
import socket
import ssl
import struct
from functools import partial

import pytest

from airflow_pixverse.api.errors import (
    STATUS_MEANINGS,
    PixverseError,
    PixverseFatalError,
    PixverseNoConnectionError,
    PixverseRateLimitError,
    PixverseTransientError,
    PixverseUnknownOutcomeError,
)
from airflow_pixverse.api.http.network_errors import explain
from airflow_pixverse.api.kinds import is_endpoint
from airflow_pixverse.api.submission import job_ids_of
from tests.helpers import clients
from tests.helpers.raw_server import answer, dripping, once

JOB = "user:12-pixverse:mary-jane@example.com-video:34"
PAYLOAD = {"prompt": "a cat", "replyRef": "r#1"}
ACCEPTED = answer(b'{"video_id": "x"}')


client_of = partial(clients.client_of, max_retries=3, timeout=(2, 2))


def error_of(server, endpoint="videos/create", payload=PAYLOAD, **kwargs) -> PixverseError:
    with client_of(server, **kwargs) as client:
        return clients.error_of(client.submit, endpoint, payload)


# The request


@pytest.mark.parametrize(
    "payload",
    [{"prompt": "a cat \N{CAT FACE}", "unknown": [1, None, {"x": 1.5}], "email": "a+b@example.com"}, {}],
)
def test_payload_arrives_untouched(raw_server, payload):
    server = raw_server(ACCEPTED)
    assert client_of(server).submit("videos/create-v9", payload) == (["x"], {"video_id": "x"})
    head, _, sent = server.requests[0][1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/pixverse/videos/create-v9 HTTP/1.1\r\n")
    assert json.loads(sent) == payload


ENDPOINTS = [
    *("videos/create", "videos/create-v4", "videos/upscale/", "images/create", "music/create"),
    *("speech/create", "videos/motion-control", "videos/a/b_c"),
]
NO_ENDPOINTS = [
    *("", "videos", "videos/", "scheduler/x", "accounts", "files/create", "music-video/create"),
    *("/videos/create", "videos//create", "videos/../accounts", "videos/create?email=x", "videos/create#x"),
    *("videos/%63reate", "videos/create\n", "videos/cr eate", "Videos/create"),
    *("videos/user:1-pixverse:a@example.com-video:1", "https://example.com/videos/create"),
]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_endpoint_that_makes_something_may_be_used(endpoint):
    assert is_endpoint(endpoint)


@pytest.mark.parametrize(
    ("endpoint", "payload"),
    [
        *[(endpoint, PAYLOAD) for endpoint in NO_ENDPOINTS],
        *[("videos/create", odd) for odd in (None, [], "x", {"x": float("nan")}, {"x": object()})],
    ],
)
def test_submit_of_another_endpoint_or_of_no_json_object_is_not_sent(raw_server, endpoint, payload):
    server = raw_server()
    error = error_of(server, endpoint, payload)
    assert type(error) is PixverseFatalError
    reason = (
        "the path, query or body" if isinstance(payload, dict) and is_endpoint(endpoint) else "the endpoint"
    )
    assert f"cannot be sent: {reason}" in str(error)
    assert server.connections == 0


# Accepted


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        *[({field: JOB}, [JOB]) for field in ("video_id", "image_id", "audio_id")],
        ({"success_ids": ["a", "b"]}, ["a", "b"]),
        ({"video_id": 1234}, ["1234"]),
        ({"success_ids": [1, "b", 1, None, "", {}]}, ["1", "b"]),
        ({"video_id": ["a"]}, ["a"]),
        ({"image_id": "a", "success_ids": ["a", "b"]}, ["a", "b"]),
        ({"video_id": None, "audio_id": "a"}, ["a"]),
        ({"video_id": 2**64}, [str(2**64)]),
        ({"video_id": "a\nb\x1b[0m"}, ["a b"]),
    ],
)
def test_ids_of_a_submit_are_found_whatever_they_are_called(raw_server, body, ids):
    server = raw_server(answer(json.dumps({"cost_credits": 45, **body}).encode()))
    submission = client_of(server).submit("music/create", PAYLOAD)
    assert submission.job_ids == ids
    assert submission.answer["cost_credits"] == 45


@pytest.mark.parametrize(
    "body", [None, [], "x", {}, {"video_id": True}, {"video_id": 0}, {"video_id": 1.5}, {"id": "x"}]
)
def test_ids_of_a_submit_without_one_are_none(body):
    assert job_ids_of(body) == []


@pytest.mark.parametrize("status", [200, 201, 202])
def test_id_of_a_submit_counts_more_than_an_error_beside_it(sim, status):
    body = {"success_ids": ["a"], "error": "one of two is moderated", "code": 422}
    sim.respond_with("images/create", body, status)
    assert client_of(sim).submit("images/create", PAYLOAD).job_ids == ["a"]


# Refused


@pytest.mark.parametrize("in_body", [False, True])
@pytest.mark.parametrize("status", [status for status, row in STATUS_MEANINGS.items() if row.refuses])
def test_submit_that_is_refused_raises_the_words_of_the_service(sim, status, in_body):
    body = {"error": "because of this", "code": status}
    sim.respond_with("videos/create", body, 200 if in_body else status)
    error = error_of(sim)
    assert type(error) is STATUS_MEANINGS[status].error
    assert (error.status, error.detail) == (status, "because of this")
    assert sim.request_count == 1


def test_submit_that_is_refused_for_now_says_when_to_ask_again(raw_server):
    error = error_of(raw_server(answer(status="429 Too Many", headers="Retry-After: 20\r\n")))
    assert type(error) is PixverseRateLimitError
    assert error.retry_after == 20


# Certainly not sent


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://127.0.0.1:1", None),
        ("http://service.invalid", "http://127.0.0.1:1"),
        ("https://service.invalid", "http://127.0.0.1:1"),
    ],
)
def test_submit_to_a_host_or_proxy_that_refuses_the_connection_is_not_sent(url, proxy):
    assert type(error_of(url, proxy=proxy)) is PixverseNoConnectionError


def test_submit_to_a_host_that_is_not_known_is_not_sent(monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert type(error_of("https://service.invalid")) is PixverseNoConnectionError


def test_submit_to_a_host_that_takes_no_connection_is_not_sent(full_port):
    assert type(error_of(f"http://127.0.0.1:{full_port}", timeout=(0.1, 5))) is PixverseNoConnectionError


def test_submit_that_is_out_of_time_while_connecting_is_not_sent(addresses, full_port):
    addresses += [full_port] * 20
    error = error_of("http://service.invalid", timeout=(0.2, 0.1))
    assert "no whole answer within 0.3" in str(error)
    assert type(error) is PixverseNoConnectionError


def test_submit_to_a_host_whose_certificate_is_not_trusted_is_not_sent(raw_server, tls):
    server = raw_server(tls=tls[0])
    assert type(error_of(server)) is PixverseNoConnectionError
    assert server.requests == []


def test_submit_to_a_host_without_tls_is_not_sent(raw_server):
    server = raw_server(lambda _, connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert type(error_of(f"https://127.0.0.1:{server.port}")) is PixverseNoConnectionError


@pytest.mark.parametrize(
    "then",
    [
        b"",
        answer(status="407 Proxy Authentication Required"),
        answer(status="502 Bad Gateway"),
        b"HTTP/1.1 200 OK\r\n\r\nno TLS here",
    ],
    ids=["nothing", "407", "502", "no TLS"],
)
def test_submit_through_a_proxy_that_does_not_connect_to_the_host_is_not_sent(raw_server, then):
    proxy = raw_server(once(then))
    assert type(error_of("https://service.invalid", proxy=proxy.url)) is PixverseNoConnectionError
    assert b"a cat" not in b"".join(data for _, data in proxy.requests)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "ftp://127.0.0.1:1"])
def test_submit_that_cannot_be_sent_is_fatal(proxy):
    assert type(error_of("https://service.invalid", proxy=proxy)) is PixverseFatalError


# Unknown


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_and_reset(server, connection):
    server.read_request(connection)
    reset(connection)


UNKNOWN = {
    "closed": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"video_id": "x',
    "no HTTP": b"\x00\x01\x02",
    "malformed headers": b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    "no JSON": answer(b"hello"),
    "broken JSON": answer(b'{"video_id": "x"'),
    "a web page": answer(b"<html>", content_type="text/html"),
    "too large": answer(b" " * (5 * 1024 * 1024 + 1)),
    "encoded": answer(b'{"video_id": "x"}', headers="Content-Encoding: br\r\n"),
    "nothing": answer(b""),
    "204": answer(b"", "204 No Content"),
    "null": answer(b"null"),
    "no id": answer(b'{"video_id": null, "cost_credits": 45}'),
    "a list": answer(b'["x"]'),
    "an error without code": answer(b'{"error": "out of order"}'),
    "an error with an odd code": answer(b'{"error": "out of order", "code": "x"}'),
    "an error of the server in a 200": answer(b'{"error": "out of order", "code": 500}'),
    "301": answer(status="301 Moved", headers="Location: /v2/pixverse/videos/create\r\n"),
    "307": answer(status="307 Temporary", headers="Location: http://127.0.0.1:1/\r\n"),
    "302 to nowhere": answer(status="302 Found", headers="Location: http://[bad\r\n"),
    "304": answer(b"", "304 Not Modified"),
    "408": answer(status="408 Request Timeout"),
    "409": answer(status="409 Conflict"),
    "425": answer(status="425 Too Early"),
    "500": answer(status="500 Internal Server Error"),
    "502": answer(status="502 Bad Gateway"),
    "503": answer(status="503 Unavailable", headers="Retry-After: 5\r\n"),
    "520": answer(status="520 Unknown"),
    "an id in a 500": answer(b'{"video_id": "x", "error": "out of order"}', "500 Internal Server Error"),
}


SUCCESS = {
    "half a body", "no JSON", "broken JSON", "a web page", "too large", "encoded", "nothing", "204", "null",
    "no id", "a list",
}  # fmt: skip


def assert_unknown(error):
    assert type(error) is PixverseUnknownOutcomeError, repr(error)
    assert str(error).endswith("; whether the job is accepted is not known")
    assert (error.method, error.path) == ("POST", "videos/create")


@pytest.mark.parametrize("name", UNKNOWN)
def test_outcome_after_any_other_answer_is_unknown_and_nothing_is_sent_again(raw_server, name):
    server = raw_server(once(UNKNOWN[name]))
    error = error_of(server)
    assert_unknown(error)
    assert error.says_success == (name in SUCCESS), "also where nothing else of the answer can be used"
    assert (len(server.requests), server.connections) == (1, 1)


def test_outcome_after_a_reset_is_unknown(raw_server):
    server = raw_server(read_and_reset)
    assert_unknown(error_of(server))
    assert len(server.requests) == 1


def test_outcome_after_silence_is_unknown(raw_server):
    error = error_of(raw_server(dripping(b"", b"")), timeout=(2, 0.2))
    assert "silent for 0.2 s" in str(error)
    assert_unknown(error)


def test_outcome_after_the_total_limit_is_unknown(raw_server):
    whole = b'HTTP/1.1 200 OK\r\n\r\n{"video_id": "x"}'
    error = error_of(raw_server(dripping(whole, b" ")), timeout=(0.1, 0.4))
    assert "no whole answer within 0.5" in str(error)
    assert_unknown(error)
    assert error.says_success


# urllib3 calls a reset one of a proxy that cannot be reached, since it forgets that it was connected.
@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (once(b""), "the connection broke off"),
        (read_and_reset, "the connection broke off"),
        (once(answer(status="502 Bad Gateway")), "502 Bad Gateway"),
    ],
    ids=["nothing", "reset", "502"],
)
def test_outcome_at_a_proxy_that_has_got_the_job_is_unknown(raw_server, serve, words):
    proxy = raw_server(serve)
    error = error_of("http://service.invalid", proxy=proxy.url)
    assert words in str(error)
    assert_unknown(error)
    assert b"a cat" in proxy.requests[0][1]


def test_outcome_where_the_connection_breaks_while_the_job_is_sent_is_unknown(raw_server):
    def serve(server, connection):
        connection.recv(1)
        reset(connection)

    assert_unknown(error_of(raw_server(serve), payload={"prompt": "x" * 10_000_000}))


def test_outcome_where_tls_breaks_after_the_job_is_sent_is_unknown(raw_server, tls):
    context, certificate = tls

    def serve(server, connection):
        server.read_request(connection)
        # Behind the back of TLS: what arrives is no record of it.
        with socket.socket(fileno=connection.detach()) as plain:
            plain.sendall(b"no TLS any more, for as long as it takes")

    server = raw_server(serve, context)
    assert_unknown(error_of(server, ca_bundle=certificate))
    assert len(server.requests) == 1


def test_outcome_that_is_unknown_carries_what_is_known(raw_server):
    server = raw_server(answer(b'{"video_id": null, "note": "soon"}', "202 Accepted"))
    error = error_of(server, label="connection 'px'")
    assert (error.status, error.answer) == (202, {"video_id": None, "note": "soon"})
    assert str(error).startswith(
        f"connection 'px' (127.0.0.1:{server.port}): POST videos/create answered no id"
    )
    error = error_of(raw_server(answer(b'{"error": "boom"}', "500 Internal Server Error")))
    assert (error.status, error.detail, error.answer) == (500, "boom", None)


@pytest.mark.parametrize("error", [OSError("certificates"), ssl.SSLError(1, "x"), ValueError("x")])
def test_request_that_was_sent_is_never_said_to_be_impossible_to_send(error):
    assert not explain(error, (1, 2), sent=True).fatal


# Other calls


def test_read_that_gets_no_connection_is_not_sent():
    assert (
        type(clients.error_of(clients.client_of("http://127.0.0.1:1").get_capacity))
        is PixverseNoConnectionError
    )


def test_read_over_a_connection_kept_alive_that_breaks_is_not_taken_for_not_sent(raw_server):
    def serve(server, connection):
        once(answer())(server, connection)
        server.read_request(connection)

    with clients.client_of(raw_server(serve)) as client:
        client.get_capacity()
        assert type(clients.error_of(client.get_capacity)) is PixverseTransientError
