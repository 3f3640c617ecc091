"""Messages of errors: who was asked, what went wrong in plain words, and no secret."""

import errno
import resource
import socket
import ssl
import traceback
from contextlib import contextmanager
from functools import partial
from urllib.parse import quote

import pytest
from urllib3 import exceptions as urllib3_errors

from airflow_pixverse.api.errors import (
    PixverseAuthError,
    PixverseError,
    PixverseFatalError,
    PixverseTransientError,
)
from airflow_pixverse.api.http.network_errors import Failure, explain
from airflow_pixverse.simulator import Simulator, faults
from tests.helpers import clients
from tests.helpers.raw_server import answer, dripping, once, tls_context

LABEL = "connection 'px'"


client_of = partial(clients.client_of, timeout=(2, 2), label=LABEL)


def error_of(server, call="get_capacity", **kwargs) -> PixverseError:
    """Return the error of a call, which names connection, host and call, and no error of a library."""
    client = client_of(server, **kwargs)
    error = clients.error_of(getattr(client, call))
    path = {"get_capacity": "scheduler/available", "list_executing": "scheduler/"}[call]
    host = getattr(server, "url", server).partition("//")[2]
    assert str(error).startswith(f"{LABEL} ({host}): GET {path} ")
    assert (error.method, error.path) == ("GET", path)
    # The error of a library may hold what the server sent, or a proxy's password.
    assert error.__cause__ is None
    assert error.__context__ is None
    assert " object at 0x" not in str(error)
    assert "HTTPConnection" not in str(error)
    return error


def page(body=b"<!DOCTYPE html><title>Nothing here</title>", status="200 OK") -> bytes:
    return answer(body, status, content_type="text/html; charset=utf-8")


def test_message_of_a_client_without_a_label_names_the_host(raw_server):
    server = raw_server(answer(b"[]"))
    error = clients.error_of(clients.client_of(server).get_capacity)
    assert str(error).startswith(f"127.0.0.1:{server.port}: GET scheduler/available ")


NOT_THE_SERVICE = {
    "a page with 404": (page(status="404 Not Found"), "answered 404 Not Found: a web page"),
    "a page": (page(), "answered a web page instead of JSON"),
    "many commas": (page(b"<p>" + b"," * 300_000), "answered a web page instead of JSON"),
    "text": (answer(b"hello"), "answered something that is not JSON"),
    "a list": (
        answer(b"[]"),
        "a body of another shape (the body: Input should be a valid dictionary or instance of Capacity)",
    ),
    "a text": (
        answer(b'{"available": "x"}'),
        "a body of another shape (available: Input should be a valid list)",
    ),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", "got an answer that is not HTTP"),
    "malformed headers": (b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", "got an answer that is not HTTP"),
    "a folded header": (b"HTTP/1.1 200 OK\r\n X: folded\r\n\r\n{}", "got an answer that is not HTTP"),
    "a broken header": (b"HTTP/1.1 200 OK\r\nX: \r\rx\r\n\r\n{}", "got an answer that is not HTTP"),
    "an endless header": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "got an answer that is not HTTP"),
}


@pytest.mark.parametrize(("served", "words"), NOT_THE_SERVICE.values(), ids=NOT_THE_SERVICE)
def test_answer_that_is_not_of_the_service_casts_doubt_on_the_host(raw_server, served, words):
    server = raw_server(served)
    error = error_of(server)
    assert type(error) is PixverseTransientError
    assert str(error).endswith(f"{words} (is 127.0.0.1:{server.port} the host of useapi.net?)")


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
ENCODED = answer(b"\x1f\x8b", "503 Down", "Content-Encoding: gzip\r\n", content_type="text/plain")
OF_THE_SERVICE = {
    "many values": (
        answer(b"[" + b"{}," * 250_000 + b"{}]"),
        "answered a body that holds more than 250000 values",
    ),
    "deep": (answer(b"[" * 100_000), "answered a body that is nested too deeply"),
    "a page of a gateway": (page(status="502 Bad Gateway"), "answered 502 Bad Gateway"),
    "a time to ask again": (
        answer(status="503 No", headers="Retry-After: 5\r\n"),
        "(it may be asked again in 5 s)",
    ),
    "nothing": (b"", "got no whole answer: the connection broke off"),
    "half an answer": (HALF, "got no whole answer: the connection broke off"),
    "an encoded error": (ENCODED, "answered 503 Service Unavailable"),
    "text that is no UTF-8": (
        answer(b"D\xf6wn", "503 Down", content_type="text/plain"),
        "503 Service Unavailable: D\N{REPLACEMENT CHARACTER}wn",
    ),
    "lines of text": (
        answer(b"Down for\nan hour", "503 Down", content_type="text/plain"),
        "503 Service Unavailable: Down for an hour",
    ),
    "a message": (answer(b'{"message": "Down for an hour"}', "503 Down"), "Unavailable: Down for an hour"),
    "a message in an error": (answer(b'{"error": {"message": "Down"}}', "503 Down"), "Unavailable: Down"),
    "an object": (answer(b'{"error": {"reason": "Down"}}', "503 Down"), 'Unavailable: {"reason": "Down"}'),
}


@pytest.mark.parametrize(("served", "words"), OF_THE_SERVICE.values(), ids=OF_THE_SERVICE)
def test_answer_of_the_service_in_trouble_casts_no_doubt_on_the_host(raw_server, served, words):
    error = error_of(raw_server(once(served)))
    assert type(error) is PixverseTransientError
    assert str(error).endswith(words)


@pytest.mark.parametrize("call", ["get_capacity", "list_executing"])
def test_error_in_a_200_is_one_by_its_code(sim, call):
    sim.inject(faults.error_in_200("Unauthorized", code=401))
    error = error_of(sim, call)
    assert isinstance(error, PixverseAuthError)
    assert "Unauthorized" in str(error)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *[(100, 100), (999, 999), ("404", 404), (404.0, 404)],
        *[(odd, None) for odd in (2**64, 99, 1000, -5, True, [], "x")],
    ],
)
def test_code_of_an_error_in_a_200_is_a_status_or_none(sim, code, status):
    sim.respond_with("scheduler/available", {"error": "no", "code": code})
    assert error_of(sim).status == status


def test_body_over_5_mib_is_cut_off_while_reading(sim):
    sim.inject(faults.oversized(10**12))  # reading it whole would take hours
    assert str(error_of(sim)).endswith("answered a body larger than 5242880 bytes")


def test_body_of_5_mib_is_read(sim):
    sim.respond_with("scheduler/available", b"{}".ljust(5 * 1024 * 1024))
    assert client_of(sim).get_capacity().free_slots() == 0


@pytest.mark.parametrize("encoding", ["gzip", "br", "x"])
def test_body_that_is_encoded_is_refused_unread(raw_server, encoding):
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: 999999999\r\n\r\n"
    server = raw_server(dripping(head.encode(), b"\x1f\x8b" * 1000))
    assert str(error_of(server)).endswith("answered an encoded body, which was not asked for")
    assert server.hung_up.wait(10)


def test_body_that_is_said_to_be_as_it_is_is_read(raw_server):
    server = raw_server(answer(headers="Content-Encoding: Identity\r\n"))
    assert client_of(server).get_capacity().accounts == []


# The network


@contextmanager
def no_file_descriptor_is_free():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))  # stdin, stdout and stderr are open
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("kept_alive", [True, False])
def test_process_without_a_free_file_descriptor_is_told(raw_server, kept_alive):
    with client_of(raw_server()) as client:
        client.get_capacity()
        if not kept_alive:
            client.close()
        with no_file_descriptor_is_free():
            error = clients.error_of(client.get_capacity, kind=PixverseTransientError)
        assert str(error).endswith("got no answer: no file descriptor is free (Too many open files)")
        assert client.get_capacity().accounts == [], "it recovers"


@pytest.mark.parametrize(
    ("host", "doubt"),
    [("api.useapi.net", ""), ("api.useapi.nte", " (is api.useapi.nte the host of useapi.net?)")],
)
def test_host_that_is_not_known_is_told_with_doubt_of_other_hosts_only(monkeypatch, host, doubt):
    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    words = "got no answer: the name of the host is not known (Name or service not known)"
    assert str(error_of(f"https://{host}")).endswith(words + doubt)


def test_host_that_refuses_the_connection_is_told():
    error = error_of("http://127.0.0.1:1")
    assert str(error).endswith("got no answer: cannot connect (Connection refused)")


def test_service_that_is_silent_is_told(raw_server):
    error = error_of(raw_server(dripping(b"", b"")), timeout=(2, 0.2))
    assert str(error).endswith("got no answer: the service was silent for 0.2 s")


def test_certificate_that_is_not_trusted_is_told(raw_server, tls, tmp_path):
    context, certificate = tls
    server = raw_server(tls=context)
    assert client_of(server, ca_bundle=certificate).get_capacity().accounts == []
    words = "the certificate of the host is not trusted (self-signed certificate) (is 127"
    assert words in str(error_of(server))
    context, trusted = tls_context(tmp_path, "other.example.com")
    error = error_of(raw_server(tls=context), ca_bundle=trusted)
    assert "the certificate of the host is not trusted (IP address mismatch" in str(error)


def test_host_without_tls_is_told(raw_server):
    def serve(server, connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    error = error_of(f"https://127.0.0.1:{raw_server(serve).port}")
    assert "got no answer: no TLS connection can be made (is 127.0.0.1:" in str(error)


def test_certificates_that_cannot_be_read_are_told(tmp_path):
    error = error_of("https://127.0.0.1:1", ca_bundle=str(tmp_path / "none.pem"))
    assert isinstance(error, PixverseFatalError)
    assert str(error).endswith("cannot be sent: the certificates to trust cannot be read")


def test_error_of_a_library_that_is_not_foreseen_is_told_without_its_text(raw_server, monkeypatch):
    def fail(*args, **kwargs):
        raise LookupError("a bug of a library, with the token in it")

    client = client_of(raw_server())
    monkeypatch.setattr(client._transport._adapter, "send", fail)
    error = clients.error_of(client.get_capacity, kind=PixverseTransientError)
    assert str(error).endswith("got no answer that can be used")


NO_CERTIFICATES = Failure("cannot be sent: the certificates to trust cannot be read", fatal=True)
BROKE_OFF = Failure("got no whole answer: the connection broke off")
NO_TLS = Failure("got no answer: no TLS connection can be made", wrong_host=True)


def in_context(error, context):
    error.__context__ = context
    return error


def in_a_circle(first, second):
    first.__cause__, second.__cause__ = second, first
    return first


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        # A route that is lost casts no doubt on the host.
        (urllib3_errors.ProtocolError("aborted", OSError(errno.EHOSTUNREACH, "No route to host")), BROKE_OFF),
        (OSError("x"), NO_CERTIFICATES),
        (in_context(RuntimeError("a", RuntimeError("b")), ssl.SSLError("c")), NO_TLS),
        (in_a_circle(RuntimeError("a"), ssl.SSLError("b")), NO_TLS),
    ],
    ids=["wrapped", "itself", "several", "in a circle"],
)
def test_error_of_a_library_is_explained_by_any_of_its_causes(error, failure):
    assert explain(error, (1, 2)) == failure


# Secrets


@pytest.mark.parametrize("call", ["list_executing", "get_capacity"])
def test_token_that_the_server_repeats_is_hidden(call):
    token = "user:77-s3cr3t/+x"
    with Simulator(token=token) as sim, client_of(sim) as client:
        sim.inject(faults.echo_token())
        sim.inject(faults.redirect(f"https://{quote(token, safe='')}.example.com/"))
        errors = [error_of(sim, call) for _ in range(2)]
        sim.respond_with("scheduler/", [{"id": "x", "note": f"for {token}"}])
        [job] = client.list_executing()
    for error in errors:
        assert "s3cr3t" not in "".join(traceback.format_exception(error)) + repr(vars(error))
    assert "s3cr3t" not in repr(client)
    assert job.to_xcom()["note"] == "for ***"


def test_token_in_the_host_is_hidden():
    client = client_of("http://77-S3CR3T.invalid", "user:77-s3cr3t")
    error = clients.error_of(client.get_capacity)
    assert "s3cr3t" not in (str(error) + repr(client)).lower()


def test_log_line_that_a_server_forges_stays_out_of_messages_and_logs(raw_server, caplog):
    words = b'{"error": "no\\nINFO - all is well\\u001b[2J for USER:1-TOKEN\\u202e", "code": 500}'
    status, echo = "500 INFO\x1b[31m user:1-token", "X-Echo: user:1-token\r\n"
    error = error_of(raw_server(answer(words, status, echo)))
    assert str(error).endswith("answered 500 Internal Server Error: no INFO - all is well for ***")
    error = error_of(raw_server(b"HTTP/1.1 200 OK\r\nbroken user:1-token\r\n\r\n{}"))
    assert "user:1-token" not in caplog.text + "".join(traceback.format_exception(error))


# The standard library warns of a cookie that is too odd for it, and takes seconds for megabytes of them.
ODD = f"Set-Cookie: a=b; max-age={'9' * 4000}\r\nSet-Cookie2: a=b; max-age={'9' * 4000}; version=1\r\n"


@pytest.mark.parametrize("cookies", ["Set-Cookie: session=user; Path=/\r\n", ODD], ids=["plain", "odd"])
def test_cookies_are_neither_parsed_nor_sent(raw_server, recwarn, cookies):
    server = raw_server(answer(headers=cookies))
    client = client_of(server)
    client.get_capacity()
    client.get_capacity()
    assert len(server.requests) == 2
    assert all(b"cookie" not in request.lower() for _, request in server.requests)
    assert not recwarn.list
