"""What is not public is not connected to, however its address is written."""

import socket

import pytest

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.api.media import MediaClient
from airflow_pixverse.api.public_addresses import PrivateAddressError, check_literal, check_public

from .raw_server import RawServer, always, answer

TIMEOUT = (2.0, 2.0)
PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1%2",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "93.184.216.34",
    "8.8.8.8",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::",
]


def open_file(url, **kwargs):
    with MediaClient(timeout=TIMEOUT, **kwargs).open(url) as media:
        return b"".join(media.chunks)


@pytest.fixture
def names(monkeypatch):
    """What the names of hosts stand for: for each, the answers to one look-up after the other."""
    known = {}
    real = socket.getaddrinfo

    def look_up(host, port, *args, **kwargs):
        if host not in known:
            return real(host, port, *args, **kwargs)
        addresses = known[host].pop(0)
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [
            (family, socket.SOCK_STREAM, 0, "", (address, port))
            for family, address in zip(families, addresses, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_told_apart(address):
    with pytest.raises(PrivateAddressError):
        check_public([address])


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_let_through(address):
    check_public([address])


def test_one_private_address_among_public_ones_is_enough():
    with pytest.raises(PrivateAddressError, match=r"10\.0\.0\.1"):
        check_public(["8.8.8.8", "10.0.0.1"])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "localhost",
        "LOCALHOST",
        "0",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_this_machine_is_not_reached_by_any_way_to_write_its_address(scheme, host):
    with RawServer(always(answer())) as server:
        with pytest.raises(PixverseFatalError, match=r"is no public address.*set allow_private_results"):
            open_file(f"{scheme}://{host}:{server.port}/a.mp4")
        assert server.connections == 0


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"]])
def test_a_name_that_stands_for_this_machine_is_not_connected_to(names, addresses):
    names["cdn.invalid"] = [addresses]
    with RawServer(always(answer())) as server:
        with pytest.raises(PixverseFatalError, match=r"cdn\.invalid.* leads to .*127\.0\.0\.1"):
            open_file(f"http://cdn.invalid:{server.port}/a.mp4")
        assert server.connections == 0


def test_a_name_is_looked_up_once_and_what_was_looked_at_is_connected_to(names, monkeypatch):
    names["cdn.invalid"] = [["93.184.216.34"], ["127.0.0.1"]]
    tried = []

    def connect(_connection, address):
        tried.append(address[0])
        raise ConnectionRefusedError

    with RawServer(always(answer())) as server:
        monkeypatch.setattr("airflow_pixverse.api.deadline.socket.socket.connect", connect)
        with pytest.raises(PixverseTransientError, match="connect"):
            open_file(f"http://cdn.invalid:{server.port}/a.mp4")
    assert tried == ["93.184.216.34"]
    assert names["cdn.invalid"] == [["127.0.0.1"]]


def test_a_name_is_looked_at_again_by_the_next_request(names):
    names["cdn.invalid"] = [["127.0.0.1"], ["10.0.0.1"]]
    with RawServer(always(answer(headers="Connection: close\r\n"))) as server:
        url = f"http://cdn.invalid:{server.port}/a.mp4"
        for address in ("127.0.0.1", "10.0.0.1"):
            with pytest.raises(PixverseFatalError, match=address.replace(".", r"\.")):
                open_file(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "localhost",
        "localhost.",
        "a.localhost",
        "10.1.2.3",
        "[::1]",
        "[64:ff9b::7f00:1]",
        "2130706433",
        "0x7f.1",
    ],
)
def test_a_proxy_is_not_asked_for_what_is_not_public(host):
    with RawServer(always(answer())) as proxy:
        for scheme in ("http", "https"):
            with pytest.raises(PixverseFatalError, match="is no public address"):
                open_file(f"{scheme}://{host}/a.mp4", proxy=proxy.url)
        assert proxy.connections == 0


def test_a_proxy_of_this_machine_is_asked_for_a_name_which_it_looks_up():
    film = answer(b"film").replace(b"application/json", b"video/mp4")
    with RawServer(always(film)) as proxy:
        assert open_file("http://cdn.invalid/a.mp4", proxy=proxy.url) == b"film"
        assert proxy.requests[0][1].startswith(b"GET http://cdn.invalid/a.mp4 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "host", ["example", "media.example.com", "1.2.3.4.example.com", "0x7f.example", "8.8.8.8"]
)
def test_a_name_or_a_public_address_may_be_asked_of_a_proxy(host):
    check_literal(f"https://{host}/a.mp4")


def test_all_of_it_can_be_allowed(sim):
    sim.end_job(sim.start_job())
    for host in ("127.0.0.1", "localhost", "2130706433"):
        assert open_file(f"http://{host}:{sim.port}/media/1.mp4", allow_private=True)
