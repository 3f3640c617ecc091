"""Addresses that are not public: never connected to, however they are written."""

import ipaddress
import re
import socket

import pytest

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.api.http.public_addresses import PrivateAddressError, check_literal, check_public
from airflow_pixverse.api.media import MediaClient
from tests.helpers.raw_server import answer

# Those that the tests of requests-hardened 1.3.0 refuse are among them. On two of its addresses, this package
# decides otherwise: it judges 64:ff9b::/96 (NAT64) by the IPv4 address in it, since a worker that has IPv6
# only reaches every CDN through it; and it refuses ::192.0.5.0, a form that nothing routes.
PRIVATE = [
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1"),
    *("192.0.0.1", "192.0.2.0", "192.168.0.1", "192.168.1.1", "168.63.129.16", "198.18.0.1"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "::192.0.5.0", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:192.168.2.1"),
    *("::ffff:192.0.2.0", "::ffff:ac10:1", "::ffff:c0a8:1", "::ffff:168.63.129.16"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::192.88.99.1", "64:ff9b::168.63.129.16"),
    *("64:ff9b:1::1", "2001:1::1", "2002:7f00:1::", "2002:808:808::", "2001:db8::1"),
    *("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "fc00::1", "fd12:3456:789a::1", "fe80::1%2", "fec0::1"),
    "ff02::1",
]
PUBLIC = [
    *("93.184.216.34", "8.8.8.8", "8.0.0.0", "128.99.0.0", "168.63.129.15", "168.63.129.17"),
    *("192.88.98.255", "192.88.100.0"),
    *("2001:200::1", "2004:0db8:1234:5678::abcd:ef01", "2606:4700::1111", "64:ff9b::808:808"),
    *("::ffff:8.8.8.8", "::ffff:800:0", "::ffff:8063:0"),
]
# Networks that requests-hardened lists beside those that Python knows.
HARDENED_NETWORKS = [
    *("192.88.99.0/24", "100.64.0.0/10", "192.0.0.0/24"),
    *("5f00::/16", "2001:20::/28", "64:ff9b:1::/48", "2002::/16", "3fff::/20"),
]


def open_file(url, **kwargs):
    with MediaClient(timeout=(2.0, 2.0), **kwargs).open(url) as media:
        return b"".join(media.chunks)


@pytest.fixture
def names(monkeypatch):
    """Addresses of host names: for each, the answers to one look-up after the other."""
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
def test_address_that_is_not_public_is_refused(address):
    with pytest.raises(PrivateAddressError):
        check_public([address])


@pytest.mark.parametrize("address", PUBLIC)
def test_address_that_is_public_is_let_through(address):
    check_public([address])


@pytest.mark.parametrize("listed", HARDENED_NETWORKS)
def test_network_that_requests_hardened_lists_is_refused_from_end_to_end(listed):
    network = ipaddress.ip_network(listed)
    for address in (network[0], network[1], network[network.num_addresses // 2], network[-1]):
        with pytest.raises(PrivateAddressError, match=re.escape(str(address))):
            check_public([str(address)])


def test_host_with_one_private_address_among_public_ones_is_refused():
    with pytest.raises(PrivateAddressError, match=r"10\.0\.0\.1"):
        check_public(["8.8.8.8", "10.0.0.1"])


THIS_MACHINE = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001"),
    *("localhost", "LOCALHOST", "0", "0.0.0.0", "[::ffff:127.0.0.1]"),
]


@pytest.mark.parametrize("host", THIS_MACHINE)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_this_machine_is_not_reached_by_any_way_to_write_its_address(raw_server, scheme, host):
    server = raw_server()
    words = r"is no public address, .* where your results are, set allow_private"
    with pytest.raises(PixverseFatalError, match=words):
        open_file(f"{scheme}://{host}:{server.port}/a.mp4")
    assert server.connections == 0


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"]])
def test_name_that_stands_for_this_machine_is_not_connected_to(raw_server, names, addresses):
    names["cdn.invalid"] = [addresses]
    server = raw_server()
    with pytest.raises(PixverseFatalError, match=r"cdn\.invalid.* leads to .*127\.0\.0\.1"):
        open_file(f"http://cdn.invalid:{server.port}/a.mp4")
    assert server.connections == 0


def test_name_is_looked_up_once_and_connected_to_where_it_was_checked(names, monkeypatch):
    names["cdn.invalid"] = [["93.184.216.34"], ["127.0.0.1"]]
    tried = []

    def connect(_connection, address):
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(PixverseTransientError, match="connect"):
        open_file("http://cdn.invalid/a.mp4")
    assert tried == ["93.184.216.34"]
    with pytest.raises(PixverseFatalError, match=r"127\.0\.0\.1"):
        open_file("http://cdn.invalid/a.mp4")
    assert tried == ["93.184.216.34"], "the next request checks it again"


PRIVATE_HOSTS = [
    *("127.0.0.1", "127.0.0.1.", "localhost", "localhost.", "a.localhost", "10.1.2.3", "168.63.129.16"),
    *("192.88.99.1", "[::1]", "[3fff::1]", "[64:ff9b::7f00:1]", "2130706433", "0x7f.1"),
]


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_proxy_is_not_asked_for_what_is_not_public(raw_server, host):
    proxy = raw_server()
    for scheme in ("http", "https"):
        with pytest.raises(PixverseFatalError, match="is no public address"):
            open_file(f"{scheme}://{host}/a.mp4", proxy=proxy.url)
    assert proxy.connections == 0


def test_proxy_of_this_machine_is_asked_for_a_name_which_it_looks_up(raw_server):
    proxy = raw_server(answer(b"film", content_type="video/mp4"))
    assert open_file("http://cdn.invalid/a.mp4", proxy=proxy.url) == b"film"
    assert proxy.requests[0][1].startswith(b"GET http://cdn.invalid/a.mp4 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "host", ["example", "media.example.com", "1.2.3.4.example.com", "0x7f.example", "8.8.8.8"]
)
def test_proxy_may_be_asked_for_a_name_or_a_public_address(host):
    check_literal(f"https://{host}/a.mp4")
