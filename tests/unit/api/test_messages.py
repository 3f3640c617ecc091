"""What errors say: who was asked, what went wrong in plain words, and no secret."""

import errno
import resource
import socket
import ssl
import traceback
from contextlib import contextmanager

import pytest
from urllib3 import exceptions as urllib3_errors

from airflow_pixverse.api import network_errors
from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseRateLimitError,
    PixverseTransientError,
)
from airflow_pixverse.api.network_errors import explain
from airflow_pixverse.simulator import faults

from .raw_server import RawServer, always, answer, tls_context

LABEL = "connection 'px'"


def client_of(url, **kwargs):
    return PixverseClient(
        "user:1-token", url, **{"max_retries": 0, "timeout": (2, 2), "label": LABEL, **kwargs}
    )


def html(status: str) -> bytes:
    page = b"<!DOCTYPE html><html><title>Nothing here</title></html>"
    return answer(page, status).replace(b"application/json", b"text/html; charset=utf-8")


def error_of(url, **kwargs) -> PixverseError:
    with pytest.raises(PixverseError) as caught:
        client_of(url, **kwargs).get_capacity()
    error = caught.value
    # Nothing refers to the error of a library, which may hold what the server sent, or a proxy's password.
    assert error.__cause__ is None
    assert error.__context__ is None
    assert " object at 0x" not in str(error)
    assert "HTTPConnection" not in str(error)
    return error


TROUBLES = [
    faults.status(401),
    faults.status(429, retry_after=5),
    faults.status(503),
    faults.html(200),
    faults.html(404),
    faults.broken_json(),
    faults.error_in_200("out of order"),
    faults.redirect("/v2/pixverse/x"),
    faults.redirect("http://example.com/"),
    faults.redirect("http://[bad"),
    faults.oversized(),
    faults.truncated(),
    faults.reset(),
]


@pytest.mark.parametrize("fault", TROUBLES, ids=lambda fault: fault.name)
def test_every_error_names_connection_host_and_call(sim, fault):
    sim.inject(fault, times=None)
    with pytest.raises(PixverseError) as caught:
        PixverseClient(sim.token, sim.url, max_retries=0, label=LABEL).get_capacity()
    host = sim.url.removeprefix("http://")
    assert str(caught.value).startswith(f"{LABEL} ({host}): GET scheduler/available ")
    assert (caught.value.method, caught.value.path) == ("GET", "scheduler/available")
    with pytest.raises(PixverseError) as caught:
        PixverseClient(sim.token, sim.url, max_retries=0).get_capacity()
    assert str(caught.value).startswith(f"{host}: GET scheduler/available ")


def test_a_body_of_another_shape_names_them_too(sim):
    sim.respond_with("scheduler/available", {"available": "soon"})
    with pytest.raises(PixverseTransientError) as caught:
        PixverseClient(sim.token, sim.url, max_retries=0, label=LABEL).get_capacity()
    assert str(caught.value).startswith(f"{LABEL} (127.0.0.1:")
    assert "GET scheduler/available answered a body of another shape (available: " in str(caught.value)
    assert (caught.value.method, caught.value.path) == ("GET", "scheduler/available")


def test_a_rate_limit_says_when_it_is_asked_again_and_says_nothing_twice(sim):
    sim.inject(faults.rate_limit(retry_after=17))
    with pytest.raises(PixverseRateLimitError) as caught:
        PixverseClient(sim.token, sim.url, max_retries=0).get_capacity()
    assert str(caught.value).endswith("answered 429 Too Many Requests (it may be asked again in 17 s)")


@pytest.mark.parametrize(
    ("served", "kind", "words"),
    [
        (html("404 Not Found"), PixverseFatalError, "answered 404 Not Found: a web page (is HOST"),
        (html("200 OK"), PixverseTransientError, "answered a web page instead of JSON (is HOST"),
        (answer(b"hello"), PixverseTransientError, "answered something that is not JSON (is HOST"),
        (answer(b"[]"), PixverseTransientError, "answered a body of another shape (the body: "),
        (b"SSH-2.0-OpenSSH_9.6\r\n", PixverseTransientError, "got an answer that is not HTTP (is HOST"),
        (b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", PixverseTransientError, "that is not HTTP (is HOST"),
        (b"HTTP/1.1 200 OK\r\n X: folded\r\n\r\n{}", PixverseTransientError, "that is not HTTP (is HOST"),
        (b"HTTP/1.1 200 OK\r\nX: \r\rx\r\n\r\n{}", PixverseTransientError, "that is not HTTP (is HOST"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, PixverseTransientError, "that is not HTTP (is HOST"),
    ],
    ids=[
        "HTML 404",
        "HTML 200",
        "text",
        "list",
        "SSH",
        "malformed headers",
        "folded header",
        "broken header",
        "endless header",
    ],
)
def test_what_is_not_the_service_is_asked_about(served, kind, words):
    with RawServer(always(served)) as server:
        error = error_of(server.url)
    assert type(error) is kind
    host = f"127.0.0.1:{server.port}"
    assert words.replace("HOST", host) in str(error)
    assert str(error).endswith(f"is {host} the host of useapi.net?)")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[" + b"{}," * 250_000 + b"{}]", "answered a body that holds more than 250000 values"),
        (b"[" * 100_000, "answered a body that is nested too deeply"),
    ],
    ids=["many values", "deep"],
)
def test_json_that_is_more_than_is_read_is_not_taken_for_another_host(body, words):
    with RawServer(always(answer(body))) as server:
        error = error_of(server.url)
    assert type(error) is PixverseTransientError
    assert str(error).endswith(words)


def test_a_web_page_is_called_one_however_many_commas_it_has():
    page = answer(b"<p>" + b"," * 300_000).replace(b"application/json", b"text/html")
    with RawServer(always(page)) as server:
        assert "answered a web page instead of JSON (is 127" in str(error_of(server.url))


@contextmanager
def no_file_descriptor_is_free():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))  # stdin, stdout and stderr are open
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("kept_alive", [True, False])
def test_a_process_without_a_free_file_descriptor_is_said_to_be_one(kept_alive):
    with RawServer(always(answer())) as server, client_of(server.url) as client:
        client.get_capacity()
        if not kept_alive:
            client.close()
        with no_file_descriptor_is_free(), pytest.raises(PixverseTransientError) as caught:
            client.get_capacity()
        assert str(caught.value).endswith("got no answer: no file descriptor is free (Too many open files)")
        assert client.get_capacity().accounts == [], "it recovers"


def test_a_route_that_is_lost_is_not_taken_for_another_host():
    lost = urllib3_errors.ProtocolError(
        "Connection aborted.", OSError(errno.EHOSTUNREACH, "No route to host")
    )
    assert explain(lost, (1, 2)) == network_errors.Trouble("got no whole answer: the connection broke off")


def test_a_gateway_in_trouble_is_not_taken_for_another_host():
    with RawServer(always(html("502 Bad Gateway"))) as server:
        assert str(error_of(server.url)).endswith("answered 502 Bad Gateway")


def test_the_service_itself_is_not_asked_who_it_is(monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert str(error_of("https://api.useapi.net")).endswith(
        "got no answer: the name of the host is not known (Name or service not known)"
    )
    assert str(error_of("https://api.useapi.nte")).endswith(
        "not known (Name or service not known) (is api.useapi.nte the host of useapi.net?)"
    )


def test_a_token_that_somebody_put_into_the_host_is_not_shown():
    client = PixverseClient("user:77-s3cr3t", "http://77-S3CR3T.invalid", max_retries=0)
    with pytest.raises(PixverseError) as caught:
        client.get_capacity()
    assert "s3cr3t" not in (str(caught.value) + repr(client)).lower()


def test_a_refused_connection_is_said_in_plain_words():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert str(error_of(f"http://127.0.0.1:{port}")) == (
        f"{LABEL} (127.0.0.1:{port}): GET scheduler/available got no answer: "
        "cannot connect (Connection refused)"
    )


@pytest.mark.parametrize("then", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_a_connection_that_breaks_off_is_said_in_plain_words(then):
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(then)

    with RawServer(serve) as server:
        assert str(error_of(server.url)).endswith("got no whole answer: the connection broke off")


def test_a_silent_service_is_said_in_plain_words():
    def serve(server, connection):
        server.read_request(connection)
        server.read_request(connection)

    with RawServer(serve) as server:
        error = error_of(server.url, timeout=(2, 0.2))
        assert str(error).endswith("got no answer: the service was silent for 0.2 s")


def test_a_certificate_that_is_not_trusted_is_said_in_plain_words(tmp_path):
    context, certificate = tls_context(tmp_path, "127.0.0.1")
    with RawServer(always(answer()), context) as server:
        assert client_of(server.url, ca_bundle=certificate).get_capacity().accounts == []
        assert "the certificate of the host is not trusted (self-signed certificate) (is 127" in str(
            error_of(server.url)
        )
        other, trusted = tls_context(tmp_path, "other.example.com")
        with RawServer(always(answer()), other) as another:
            error = error_of(another.url, ca_bundle=trusted)
        assert "the certificate of the host is not trusted (IP address mismatch" in str(error)


def test_a_host_without_tls_is_said_in_plain_words():
    def serve(server, connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with RawServer(serve) as server:
        error = error_of(f"https://127.0.0.1:{server.port}")
    assert "got no answer: no TLS connection comes about (is 127.0.0.1:" in str(error)


def test_certificates_that_cannot_be_read_are_said_in_plain_words(tmp_path):
    error = error_of("https://127.0.0.1:1", ca_bundle=str(tmp_path / "none.pem"))
    assert isinstance(error, PixverseFatalError)
    assert str(error).endswith("cannot be sent: the certificates to trust cannot be read")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "x"])
def test_an_encoded_body_is_refused_unread(encoding):
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: 999999999\r\n\r\n".encode()

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(head)
        server.drip(connection, b"\x1f\x8b" * 1000)

    with RawServer(serve) as server:
        assert str(error_of(server.url)).endswith("answered an encoded body, which was not asked for")
        assert server.hung_up.wait(10)


def test_an_encoded_body_of_an_error_says_nothing():
    served = answer(b"\x1f\x8b", "503 Down", "Content-Encoding: gzip\r\n").replace(
        b"application/json", b"text/plain"
    )
    with RawServer(always(served)) as server:
        assert str(error_of(server.url)).endswith("answered 503 Service Unavailable")


def test_a_plain_text_that_is_no_utf_8_is_shown_as_far_as_it_is():
    served = answer(b"D\xf6wn", "503 Down").replace(b"application/json", b"text/plain")
    with RawServer(always(served)) as server:
        assert str(error_of(server.url)).endswith("503 Service Unavailable: D\N{REPLACEMENT CHARACTER}wn")


def test_a_body_that_is_said_to_be_as_it_is_is_read():
    with RawServer(always(answer(headers="Content-Encoding: Identity\r\n"))) as server:
        assert client_of(server.url).get_capacity().accounts == []


def test_a_forged_log_line_and_the_token_stay_out_of_messages_and_logs(caplog):
    words = b'{"error": "no\\nINFO - all is well\\u001b[2J for USER:1-TOKEN\\u202e", "code": 500}'
    served = answer(words, status="500 INFO\x1b[31m user:1-token", headers="X-Echo: user:1-token\r\n")
    with RawServer(always(served)) as server:
        error = error_of(server.url)
    assert str(error).endswith("answered 500 Internal Server Error: no INFO - all is well for ***")
    with RawServer(always(b"HTTP/1.1 200 OK\r\nbroken user:1-token\r\n\r\n{}")) as server:
        error = error_of(server.url)
    shown = caplog.text + "".join(traceback.format_exception(error))
    assert "user:1-token" not in shown


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (2**64, None),
        (100, 100),
        (99, None),
        (999, 999),
        ("404", 404),
        (404.0, 404),
        (True, None),
        ([], None),
        (1000, None),
        (-5, None),
        ("x", None),
    ],
)
def test_a_code_in_a_body_is_a_status_or_none(sim, code, status):
    sim.respond_with("scheduler/available", {"error": "no", "code": code})
    with pytest.raises(PixverseError) as caught:
        PixverseClient(sim.token, sim.url, max_retries=0).get_capacity()
    assert caught.value.status == status


def test_cookies_are_neither_kept_nor_sent():
    with RawServer(always(answer(headers="Set-Cookie: session=user; Path=/\r\n"))) as server:
        client = client_of(server.url)
        client.get_capacity()
        client.get_capacity()
        assert len(server.requests) == 2
        assert all(b"cookie" not in request.lower() for _, request in server.requests)


def test_cookies_are_not_even_parsed(recwarn):
    """The standard library warns where one is too odd for it, and takes seconds for megabytes of them."""
    cookie = f"Set-Cookie: a=b; max-age={'9' * 4000}\r\nSet-Cookie2: a=b; max-age={'9' * 4000}; version=1\r\n"
    with RawServer(always(answer(headers=cookie))) as server:
        client_of(server.url).get_capacity()
    assert not recwarn.list


def test_an_error_that_nobody_foresaw_is_said_without_its_text():
    trouble = explain(RuntimeError("user:1-token"), (1, 2))
    assert trouble == network_errors.Trouble("got no answer that can be used")


def test_each_of_several_causes_is_looked_at():
    error = RuntimeError("a", RuntimeError("b"))
    error.__context__ = ssl.SSLError("c")
    assert "TLS" in explain(error, (1, 2)).words


def test_causes_in_a_circle_are_looked_at_once():
    first, second = RuntimeError("a"), ssl.SSLError("b")
    first.__cause__, second.__cause__ = second, first
    assert "TLS" in explain(first, (1, 2)).words
