"""Where redirects lead: never to another origin, whatever one parser or another makes of an address."""

import base64
import logging
from urllib.parse import quote

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.simulator import Simulator, faults

from .raw_server import RawServer, always, answer


def client_of(server, **kwargs):
    return PixverseClient("user:1-token", server.url, **{"max_retries": 0, **kwargs})


def redirect_to(location: str) -> bytes:
    return answer(status="302 Found", headers=f"Location: {location}\r\n")


@pytest.mark.parametrize(
    "location",
    [
        "http://OTHER\\@SERVICE/x",
        "http://OTHER\\.SERVICE/x",
        "\\\\OTHER/x",
        "/\\OTHER/x",
        "http://OTHER@SERVICE/x",
        "http://SERVICE@OTHER/x",
        "http://SERVICE:pw@OTHER/x",
        "http://me@SERVICE/x",
        "http://OTHER /x",
        "http://OTHER\x0b/x",
        "http://OTHER\x85/x",
        "http://OTHER/x",
        "//OTHER/x",
        "//SERVICE@OTHER",
        "https://SERVICE/x",
        "ftp://SERVICE/x",
        "file:///etc/passwd",
    ],
)
def test_a_redirect_that_may_lead_elsewhere_is_not_followed(location):
    with RawServer(always(answer())) as other:

        def serve(server, connection):
            own, others = f"127.0.0.1:{server.port}", f"127.0.0.1:{other.port}"
            where = location.replace("SERVICE", own).replace("OTHER", others)
            while server.read_request(connection):
                connection.sendall(redirect_to("LOCATION").replace(b"LOCATION", where.encode("latin-1")))

        with RawServer(serve) as server:
            with pytest.raises((PixverseFatalError, PixverseTransientError), match="was redirected to"):
                client_of(server).get_capacity()
            assert len(server.requests) == 1
        assert other.connections == 0


def test_a_redirect_is_refused_by_the_address_it_is_really_sent_to(sim):
    with Simulator(token=sim.token) as other:
        host, port = other.url.removeprefix("http://").split(":")
        sim.inject(faults.redirect(f"http://{host}:{port}\\@{sim.url.removeprefix('http://')}/x"))
        with pytest.raises(PixverseFatalError, match=r"to an odd address, which is refused \(is 127"):
            PixverseClient(sim.token, sim.url).get_capacity()
        assert other.request_count == 0


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/v2/pixverse/scheduler/", "/v2/pixverse/scheduler/"),
        ("other/?page=2", "/v2/pixverse/scheduler/other/?page=2"),
        ("HTTP://SERVICE/elsewhere", "/elsewhere"),
    ],
)
def test_a_redirect_on_the_same_origin_is_followed(location, target):
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(redirect_to(location.replace("SERVICE", f"127.0.0.1:{server.port}")))
        connection.close()

    def first_redirects(server, connection):
        (serve if server.connections == 1 else always(answer()))(server, connection)

    with RawServer(first_redirects) as server:
        assert client_of(server).get_capacity().accounts == []
        assert [request.split(b" ")[:2] for _, request in server.requests] == [
            [b"GET", b"/v2/pixverse/scheduler/available"],
            [b"GET", target.encode()],
        ]


TOKEN = "user:1234-s3cr3t/xYz"
OWN = "1234-s3cr3t/xYz"


@pytest.mark.parametrize(
    "location",
    [
        f"?{TOKEN}",
        f"?token={OWN}",
        f"/{TOKEN}/x",
        f"/x#{TOKEN}",
        f"http://SERVICE/v2/{OWN}",
        f"/{TOKEN.upper()}",
        "/1234-s3cr3t/x/../xYz",
        f"?{quote(TOKEN, safe='')}",
        f"?{quote(quote(TOKEN, safe=''), safe='')}",
        "?" + "".join(f"%{ord(character):02x}" for character in OWN),
        f"/{base64.b64encode(TOKEN.encode()).decode()}",
        f"?x={base64.urlsafe_b64encode(b'Bearer ' + TOKEN.encode()).decode()}",
    ],
)
def test_a_redirect_that_would_write_the_token_to_the_log_is_not_followed(location, caplog):
    caplog.set_level(logging.DEBUG)

    def serve(server, connection):
        while server.read_request(connection):
            connection.sendall(redirect_to(location.replace("SERVICE", f"127.0.0.1:{server.port}")))

    with RawServer(serve) as server:
        client = PixverseClient(TOKEN, server.url, max_retries=3)
        with pytest.raises(PixverseFatalError, match=r"holds the API token.* \(is 127") as caught:
            client.get_capacity()
        assert len(server.requests) == 1
    assert "GET /v2/pixverse/scheduler/available" in caplog.text, "urllib3 does log addresses"
    shown = (caplog.text + str(caught.value)).lower()
    assert "s3cr3t" not in shown
    assert location.strip("/?").lower() not in shown


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect"])
def test_a_redirect_of_anything_but_get_is_refused(method, status):
    with RawServer(always(answer(status=status, headers="Location: /v2/pixverse/x\r\n"))) as server:
        with pytest.raises(PixverseFatalError, match="refused for anything but GET") as caught:
            client_of(server, max_retries=3).request(method, "videos/create", json={"prompt": "x"})
        assert caught.value.status == int(status[:3])
        assert len(server.requests) == 1


def test_what_was_created_is_not_a_redirect():
    created = answer(b'{"video_id": 1}', "201 Created", "Location: http://example.com/1\r\n")
    with RawServer(always(created)) as server:
        assert client_of(server).request("POST", "videos/create", json={}) == {"video_id": 1}


def test_a_choice_of_addresses_is_no_answer():
    with RawServer(always(answer(status="300 Multiple Choices", headers="Location: /x\r\n"))) as server:
        with pytest.raises(PixverseTransientError, match="answered 300 Multiple Choices"):
            client_of(server).get_capacity()
        assert len(server.requests) == 1


def test_the_body_of_a_redirect_is_not_read():
    head = b"HTTP/1.1 302 Found\r\nLocation: /v2/pixverse/x\r\nContent-Length: 1000000000000\r\n\r\n"

    def serve(server, connection):
        server.read_request(connection)
        if server.connections > 1:
            connection.sendall(answer())
        else:
            connection.sendall(head)
            server.drip(connection, b" " * 65536)

    with RawServer(serve) as server:
        assert client_of(server).get_capacity().accounts == []
        assert server.hung_up.wait(10)
