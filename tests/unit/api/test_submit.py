"""Submitting: once at most, and after each answer it is known what to do."""

import json
import socket
import ssl

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.endpoints import is_endpoint
from airflow_pixverse.api.errors import (
    STATUS_MEANINGS,
    PixverseAuthError,
    PixverseError,
    PixverseFatalError,
    PixverseNoConnectionError,
    PixverseRateLimitError,
    PixverseTransientError,
    PixverseUnknownOutcomeError,
)
from airflow_pixverse.api.network_errors import Trouble, explain
from airflow_pixverse.api.submission import job_ids_of

from .raw_server import RawServer, always, answer, tls_context

JOB = "user:12-pixverse:mary-jane@example.com-video:34"
PAYLOAD = {"prompt": "a cat", "replyRef": "r#1"}


def client_of(url, **kwargs):
    return PixverseClient("user:1-token", url, **{"max_retries": 3, "timeout": (2, 2), **kwargs})


def error_of(url, **kwargs) -> PixverseError:
    with client_of(url, **kwargs) as client, pytest.raises(PixverseError) as caught:
        client.submit("videos/create", PAYLOAD)
    return caught.value


def after_request(send):
    """Return what reads one request, and then does as ``send`` says."""

    def serve(server, connection):
        server.read_request(connection)
        send(server, connection)

    return serve


# What is sent


def test_a_payload_arrives_untouched():
    payload = {"prompt": "a cat \N{CAT FACE}", "unknown": [1, None, {"x": 1.5}], "email": "a+b@example.com"}
    with RawServer(always(answer(b'{"video_id": "x"}'))) as server:
        submission = client_of(server.url).submit("videos/create-v9", payload)
    head, _, sent = server.requests[0][1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/pixverse/videos/create-v9 HTTP/1.1\r\n")
    assert json.loads(sent) == payload
    assert submission == (["x"], {"video_id": "x"})


def test_an_empty_payload_is_sent_as_one():
    with RawServer(always(answer(b'{"video_id": "x"}'))) as server:
        client_of(server.url).submit("videos/create", {})
    assert server.requests[0][1].endswith(b"\r\n\r\n{}")


def test_it_has_a_connection_of_its_own():
    with RawServer(always(answer(b'{"video_id": "x"}'))) as server, client_of(server.url) as client:
        client.get_capacity()
        client.submit("videos/create", PAYLOAD)
        client.get_capacity()
    assert [connection for connection, _ in server.requests] == [1, 2, 3]


@pytest.mark.parametrize(
    "endpoint",
    [
        "videos/create",
        "videos/create-v4",
        "videos/upscale/",
        "images/create",
        "music/create",
        "speech/create",
        "videos/motion-control",
        "videos/a/b_c",
    ],
)
def test_any_endpoint_that_makes_something_may_be_used(endpoint):
    assert is_endpoint(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "videos",
        "videos/",
        "scheduler/x",
        "accounts",
        "files/create",
        "music-video/create",
        "/videos/create",
        "videos//create",
        "videos/../accounts",
        "videos/create?email=x",
        "videos/create#x",
        "videos/%63reate",
        "videos/create\n",
        "videos/cr eate",
        "Videos/create",
        "videos/user:1-pixverse:a@example.com-video:1",
        "https://example.com/videos/create",
    ],
)
def test_no_other_endpoint_is_sent_to(endpoint):
    with RawServer(always(answer())) as server:
        with pytest.raises(PixverseFatalError, match="cannot be sent: the endpoint or the payload"):
            client_of(server.url).submit(endpoint, PAYLOAD)
        assert server.connections == 0


@pytest.mark.parametrize("payload", [None, [], "x", {"x": float("nan")}, {"x": object()}])
def test_a_payload_that_is_no_json_object_is_not_sent(payload):
    with RawServer(always(answer())) as server:
        with pytest.raises(PixverseFatalError, match="cannot be sent"):
            client_of(server.url).submit("videos/create", payload)
        assert server.connections == 0


# Accepted


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ({"video_id": JOB}, [JOB]),
        ({"image_id": JOB}, [JOB]),
        ({"audio_id": JOB}, [JOB]),
        ({"success_ids": ["a", "b"]}, ["a", "b"]),
        ({"video_id": 1234}, ["1234"]),
        ({"success_ids": [1, "b", 1, None, "", {}]}, ["1", "b"]),
        ({"video_id": ["a"]}, ["a"]),
        ({"image_id": "a", "success_ids": ["a", "b"]}, ["a", "b"]),
        ({"video_id": None, "audio_id": "a"}, ["a"]),
        ({"video_id": 2**64}, [str(2**64)]),
    ],
)
def test_the_ids_are_found_whatever_they_are_called(sim, body, ids):
    sim.respond_with("music/create", {"cost_credits": 45, **body})
    submission = PixverseClient(sim.token, sim.url).submit("music/create", PAYLOAD)
    assert submission.job_ids == ids
    assert submission.answer["cost_credits"] == 45


@pytest.mark.parametrize(
    "body", [None, [], "x", {}, {"video_id": True}, {"video_id": 0}, {"video_id": 1.5}, {"id": "x"}]
)
def test_what_is_no_id_is_none(body):
    assert job_ids_of(body) == []


def test_an_id_is_one_line_that_may_be_logged(sim):
    sim.respond_with("videos/create", {"video_id": "a\nb\x1b[0m"})
    assert PixverseClient(sim.token, sim.url).submit("videos/create", PAYLOAD).job_ids == ["a b"]


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_id_counts_more_than_an_error_beside_it(sim, status):
    sim.respond_with(
        "images/create", {"success_ids": ["a"], "error": "one of two is moderated", "code": 422}, status
    )
    assert PixverseClient(sim.token, sim.url).submit("images/create", PAYLOAD).job_ids == ["a"]


# Refused

REFUSALS = {
    400: PixverseFatalError,
    401: PixverseAuthError,
    402: PixverseFatalError,
    403: PixverseAuthError,
    404: PixverseFatalError,
    405: PixverseFatalError,
    412: PixverseFatalError,
    422: PixverseFatalError,
    429: PixverseRateLimitError,
    596: PixverseFatalError,
}


def test_every_status_that_refuses_is_tested():
    assert set(REFUSALS) == {status for status, meaning in STATUS_MEANINGS.items() if meaning.refuses}


@pytest.mark.parametrize("in_body", [False, True])
@pytest.mark.parametrize(("status", "kind"), REFUSALS.items())
def test_a_refusal_is_told_in_the_words_of_the_service(sim, status, kind, in_body):
    sim.respond_with(
        "videos/create", {"error": "because of this", "code": status}, 200 if in_body else status
    )
    with pytest.raises(PixverseError, match="because of this") as caught:
        PixverseClient(sim.token, sim.url).submit("videos/create", PAYLOAD)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.detail) == (status, "because of this")
    assert sim.request_count == 1


def test_a_refusal_for_now_says_when_to_ask_again():
    with RawServer(always(answer(status="429 Too Many Requests", headers="Retry-After: 20\r\n"))) as server:
        error = error_of(server.url)
    assert type(error) is PixverseRateLimitError
    assert error.retry_after == 20


# Certainly not sent


def assert_not_sent(error):
    assert type(error) is PixverseNoConnectionError, repr(error)
    assert isinstance(error, PixverseTransientError)


def test_a_refused_connection_is_certain():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert_not_sent(error_of(f"http://127.0.0.1:{port}"))


def test_a_name_that_is_not_known_is_certain(monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert_not_sent(error_of("https://service.invalid"))


def test_a_host_that_takes_no_connection_is_certain(full_port):
    assert_not_sent(error_of(f"http://127.0.0.1:{full_port}", timeout=(0.1, 5)))


def test_a_limit_that_passes_while_connecting_is_certain(addresses, full_port):
    addresses += [full_port] * 20
    error = error_of("http://service.invalid", timeout=(0.2, 0.1))
    assert "no whole answer within 0.3" in str(error)
    assert_not_sent(error)


def test_a_certificate_that_is_not_trusted_is_certain(tmp_path):
    context, _ = tls_context(tmp_path, "127.0.0.1")
    with RawServer(always(answer()), context) as server:
        assert_not_sent(error_of(server.url))
        assert server.requests == []


def test_a_host_that_speaks_no_tls_is_certain():
    with RawServer(
        lambda server, connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    ) as server:
        assert_not_sent(error_of(f"https://127.0.0.1:{server.port}"))


@pytest.mark.parametrize("url", ["http://service.invalid", "https://service.invalid"])
def test_a_proxy_that_cannot_be_reached_is_certain(url):
    assert_not_sent(error_of(url, proxy="http://127.0.0.1:1"))


@pytest.mark.parametrize(
    "then", [b"", answer(status="407 Proxy Authentication Required"), answer(status="502 Bad Gateway")]
)
def test_a_proxy_that_does_not_connect_to_the_host_is_certain(then):
    with RawServer(after_request(lambda server, connection: connection.sendall(then))) as proxy:
        assert_not_sent(error_of("https://service.invalid", proxy=proxy.url))
        assert b"a cat" not in b"".join(data for _, data in proxy.requests)


def test_tls_that_fails_behind_a_proxy_is_certain():
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nno TLS here")

    with RawServer(serve) as proxy:
        assert_not_sent(error_of("https://service.invalid", proxy=proxy.url))


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "ftp://127.0.0.1:1"])
def test_what_cannot_be_sent_is_fatal(proxy):
    assert type(error_of("https://service.invalid", proxy=proxy)) is PixverseFatalError


# Unknown


def reset(server, connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()


UNKNOWN = {
    "closed": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"video_id": "x',
    "no HTTP": b"\x00\x01\x02",
    "malformed headers": b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    "no JSON": answer(b"hello"),
    "broken JSON": answer(b'{"video_id": "x"'),
    "a web page": answer(b"<html>").replace(b"application/json", b"text/html"),
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


def assert_unknown(error):
    assert type(error) is PixverseUnknownOutcomeError, repr(error)
    assert str(error).endswith("; whether the job is accepted is not known")
    assert (error.method, error.path) == ("POST", "videos/create")


def test_nobody_who_catches_errors_to_try_again_catches_an_unknown_outcome():
    assert not issubclass(PixverseUnknownOutcomeError, (PixverseTransientError, PixverseFatalError))


@pytest.mark.parametrize("then", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_after_any_other_answer_the_outcome_is_unknown_and_nothing_is_sent_again(then):
    with RawServer(after_request(lambda server, connection: connection.sendall(then))) as server:
        assert_unknown(error_of(server.url))
        assert len(server.requests) == 1
        assert server.connections == 1


def test_after_a_reset_the_outcome_is_unknown():
    with RawServer(after_request(reset)) as server:
        assert_unknown(error_of(server.url))
        assert len(server.requests) == 1


def test_after_silence_the_outcome_is_unknown():
    with RawServer(after_request(lambda server, connection: connection.recv(1))) as server:
        error = error_of(server.url, timeout=(2, 0.2))
    assert "silent for 0.2 s" in str(error)
    assert_unknown(error)


def test_after_the_total_limit_the_outcome_is_unknown():
    whole = b'HTTP/1.1 200 OK\r\n\r\n{"video_id": "x"}'

    def serve(server, connection):
        connection.sendall(whole)
        server.drip(connection, b" ")

    with RawServer(after_request(serve)) as server:
        error = error_of(server.url, timeout=(0.1, 0.4))
    assert "no whole answer within 0.5" in str(error)
    assert_unknown(error)


@pytest.mark.parametrize("then", [b"", answer(status="502 Bad Gateway")])
def test_a_proxy_that_has_got_the_job_may_have_passed_it_on(then):
    with RawServer(after_request(lambda server, connection: connection.sendall(then))) as proxy:
        assert_unknown(error_of("http://service.invalid", proxy=proxy.url))
        assert b"a cat" in proxy.requests[0][1]


def test_a_reset_at_a_proxy_that_has_got_the_job_is_unknown():
    """urllib3 calls this a proxy that cannot be reached, since it forgets that it was connected."""
    with RawServer(after_request(reset)) as proxy:
        error = error_of("http://service.invalid", proxy=proxy.url)
    assert "the connection broke off" in str(error)
    assert_unknown(error)


def test_a_connection_that_breaks_while_the_job_is_sent_is_unknown():
    def serve(server, connection):
        connection.recv(1)
        reset(server, connection)

    with RawServer(serve) as server, pytest.raises(PixverseError) as caught:
        client_of(server.url).submit("videos/create", {"prompt": "x" * 10_000_000})
    assert_unknown(caught.value)


def test_tls_that_breaks_after_the_job_is_sent_is_unknown(tmp_path):
    context, certificate = tls_context(tmp_path, "127.0.0.1")

    def serve(server, connection):
        server.read_request(connection)
        # Behind the back of TLS: what arrives is no record of it.
        with socket.socket(fileno=connection.detach()) as plain:
            plain.sendall(b"no TLS any more, for as long as it takes")

    with RawServer(serve, context) as server:
        assert_unknown(error_of(server.url, ca_bundle=certificate))
        assert len(server.requests) == 1


def test_an_unknown_outcome_carries_what_is_known():
    with RawServer(always(answer(b'{"video_id": null, "note": "soon"}', "202 Accepted"))) as server:
        error = error_of(server.url, label="connection 'px'")
    assert (error.status, error.answer) == (202, {"video_id": None, "note": "soon"})
    assert str(error).startswith(
        f"connection 'px' (127.0.0.1:{server.port}): POST videos/create answered no id"
    )
    with RawServer(always(answer(b'{"error": "boom"}', "500 Internal Server Error"))) as server:
        error = error_of(server.url)
    assert (error.status, error.detail, error.answer) == (500, "boom", None)


@pytest.mark.parametrize("error", [OSError("certificates"), ssl.SSLError(1, "x"), ValueError("x")])
def test_what_was_sent_is_never_said_to_be_impossible_to_send(error):
    assert not explain(error, (1, 2), sent=True).fatal


def test_what_was_not_sent_may_be():
    assert explain(OSError("x"), (1, 2)) == Trouble(
        "cannot be sent: the certificates to trust cannot be read", fatal=True
    )


# Other calls


def test_a_read_that_gets_no_connection_is_transient_trouble_as_ever():
    with pytest.raises(PixverseTransientError) as caught:
        client_of("http://127.0.0.1:1", max_retries=0).get_capacity()
    assert_not_sent(caught.value)


def test_a_connection_kept_alive_that_has_broken_is_not_taken_for_none():
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(answer())
        server.read_request(connection)

    with RawServer(serve) as server, client_of(server.url, max_retries=0) as client:
        client.get_capacity()
        with pytest.raises(PixverseTransientError) as caught:
            client.get_capacity()
    assert type(caught.value) is PixverseTransientError
