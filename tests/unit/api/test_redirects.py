"""Redirects: never followed to another origin, whatever one parser or another makes of an address."""

import logging
from urllib.parse import quote

import pytest

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from tests.helpers.clients import client_of, error_of
from tests.helpers.raw_server import answer


def redirecting(location, other=None):
    """A server that redirects each first request of a connection; SERVICE in the location stands for it."""

    def serve(server, connection):
        own = location.replace("SERVICE", f"127.0.0.1:{server.port}")
        where = own.replace("OTHER", f"127.0.0.1:{other.port}") if other else own
        head = answer(status="302 Found", headers="Location: LOCATION\r\n")
        while server.read_request(connection):
            connection.sendall(head.replace(b"LOCATION", where.encode("latin-1")))

    return serve


REFUSALS = {
    "to no address": ["file:///etc/passwd", "http://[bad", "http://127.0.0.1:99999/x"],
    r"to an odd address, which is refused \(is 127": [
        *("http://OTHER\\@SERVICE/x", "http://OTHER\\.SERVICE/x", "\\\\OTHER/x", "/\\OTHER/x"),
        *("http://OTHER@SERVICE/x", "http://SERVICE@OTHER/x", "http://SERVICE:pw@OTHER/x"),
        *("http://me@SERVICE/x", "//SERVICE@OTHER", "http://OTHER /x", "http://OTHER\x0b/x"),
        "http://OTHER\x85/x",
    ],
    r"to another origin \(.*//.*\), which is refused: check the host \(is 127": [
        *("http://OTHER/x", "//OTHER/x", "https://SERVICE/x", "ftp://SERVICE/x"),
    ],
}


@pytest.mark.parametrize(
    ("words", "location"), [(words, one) for words, locations in REFUSALS.items() for one in locations]
)
def test_redirect_that_may_lead_elsewhere_is_not_followed(raw_server, words, location):
    other = raw_server()
    server = raw_server(redirecting(location, other))
    kind = PixverseFatalError if "refused" in words else PixverseTransientError
    with pytest.raises(kind, match=f"GET scheduler/available was redirected {words}"):
        client_of(server).get_capacity()
    assert len(server.requests) == 1
    assert other.connections == 0


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/v2/pixverse/scheduler/", "/v2/pixverse/scheduler/"),
        ("other/?page=2", "/v2/pixverse/scheduler/other/?page=2"),
        ("HTTP://SERVICE/elsewhere", "/elsewhere"),
    ],
)
def test_redirect_on_the_same_origin_is_followed(raw_server, location, target):
    def serve(server, connection):
        own = location.replace("SERVICE", f"127.0.0.1:{server.port}")
        while server.read_request(connection):
            is_first = len(server.requests) == 1
            connection.sendall(
                answer(status="302 Found", headers=f"Location: {own}\r\n") if is_first else answer()
            )

    server = raw_server(serve)
    assert client_of(server).get_capacity().accounts == []
    assert [request.split(b" ")[:2] for _, request in server.requests] == [
        [b"GET", b"/v2/pixverse/scheduler/available"],
        [b"GET", target.encode()],
    ]


def test_redirects_in_a_circle_end(raw_server):
    server = raw_server(redirecting("/v2/pixverse/scheduler/available"))
    with pytest.raises(PixverseTransientError, match="GET scheduler/available was redirected too often"):
        client_of(server).get_capacity()
    assert len(server.requests) == 5


TOKEN = "user:1234-s3cr3t/xYz"
OWN = "1234-s3cr3t/xYz"


@pytest.mark.parametrize(
    "location",
    [
        *(f"?{TOKEN}", f"?token={OWN}", f"/{TOKEN}/x", f"/x#{TOKEN}", f"http://SERVICE/v2/{OWN}"),
        *(f"/{TOKEN.upper()}", "/1234-s3cr3t/x/../xYz"),
        *(f"?{quote(TOKEN, safe='')}", f"?{quote(quote(TOKEN, safe=''), safe='')}"),
        "?" + "".join(f"%{ord(character):02x}" for character in OWN),
    ],
)
def test_redirect_that_would_write_the_token_to_the_log_is_not_followed(raw_server, location, caplog):
    caplog.set_level(logging.DEBUG)
    server = raw_server(redirecting(location))
    client = client_of(server, TOKEN, max_retries=3)
    error = error_of(client.get_capacity, kind=PixverseFatalError)
    assert "to an address that holds the API token, which is refused (is 127" in str(error)
    assert len(server.requests) == 1
    assert "GET /v2/pixverse/scheduler/available" in caplog.text, "urllib3 does log addresses"
    shown = (caplog.text + str(error)).lower()
    assert "s3cr3t" not in shown
    assert location.strip("/?").lower() not in shown


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect"])
def test_redirect_of_anything_but_get_is_refused(raw_server, method, status):
    server = raw_server(answer(status=status, headers="Location: /v2/pixverse/x\r\n"))
    client = client_of(server, max_retries=3)
    error = error_of(client.request, method, "videos/create", json={}, kind=PixverseFatalError)
    assert str(error).endswith(" was redirected, which is refused for anything but GET")
    assert error.status == int(status[:3])
    assert len(server.requests) == 1


def test_answer_that_something_is_created_is_no_redirect(raw_server):
    server = raw_server(answer(b'{"video_id": 1}', "201 Created", "Location: http://example.com/1\r\n"))
    assert client_of(server).request("POST", "videos/create", json={}) == {"video_id": 1}


def test_answer_with_a_choice_of_addresses_is_transient(raw_server):
    server = raw_server(answer(status="300 Multiple Choices", headers="Location: /x\r\n"))
    with pytest.raises(PixverseTransientError, match="answered 300 Multiple Choices"):
        client_of(server).get_capacity()
    assert len(server.requests) == 1


def test_body_of_a_redirect_is_not_read(raw_server):
    head = b"HTTP/1.1 302 Found\r\nLocation: /v2/pixverse/x\r\nContent-Length: 1000000000000\r\n\r\n"

    def serve(server, connection):
        server.read_request(connection)
        if server.connections > 1:
            connection.sendall(answer())
        else:
            connection.sendall(head)
            server.drip(connection, b" " * 65536)

    server = raw_server(serve)
    assert client_of(server).get_capacity().accounts == []
    assert server.hung_up.wait(10)
