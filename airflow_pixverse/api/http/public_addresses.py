"""Connections to public addresses only: the author of a URL must not reach hosts of this network."""

import ipaddress
import socket
from types import MappingProxyType
from urllib.parse import urlsplit

from airflow_pixverse.api.http.deadline import (
    DeadlineAdapter,
    WatchedConnection,
    WatchedHTTPSConnection,
    WatchedHTTPSPool,
    WatchedPool,
)

# All public addresses of IPv6; the rest has other uses, or none yet.
_PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")
# IPv6 addresses that a translator turns into the IPv4 address in their last bits.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Not for hosts on the internet, although Python counts them, or parts of them, as global in some versions.
_NOT_FOR_HOSTS = [
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's internal server, the same in every virtual network
        "192.0.0.0/24",  # IETF protocol assignments
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # IETF protocol assignments: Teredo, ORCHIDv2, ...
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
]


class PrivateAddressError(Exception):
    """
    The host is, or has, an address that is not public.

    :param address: that address.
    """

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


def check_public(addresses: list[str]) -> None:
    """
    Check that all addresses of a host are public ones.

    :raises PrivateAddressError: one is in a private network, of this machine, or of no machine in particular.
    """
    for address in addresses:
        if not _is_public(address):
            raise PrivateAddressError(address)


def check_literal(url: str) -> None:
    """
    Check a URL that a proxy will look up: its host must not be an address that is not public.

    :raises PrivateAddressError: it is one, or the name of this machine.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        raise PrivateAddressError(host)
    if (address := _literal(host)) is not None:
        check_public([address])


class _PublicConnection(WatchedConnection):
    def check_addresses(self, addresses: list[str]) -> None:
        check_public(addresses)


class _PublicHTTPSConnection(_PublicConnection, WatchedHTTPSConnection):
    """The same over TLS."""


class _PublicPool(WatchedPool):
    ConnectionCls = _PublicConnection


class _PublicHTTPSPool(WatchedHTTPSPool):
    ConnectionCls = _PublicHTTPSConnection


class PublicAdapter(DeadlineAdapter):
    """Connects to public addresses only. It checks the addresses of a name at the moment it connects."""

    direct_pools = MappingProxyType({"http": _PublicPool, "https": _PublicHTTPSPool})


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in network for network in _NOT_FOR_HOSTS):
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped or ip in _NAT64:
            return _is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        return ip.is_global and ip in _PUBLIC_IPV6
    return ip.is_global and not ip.is_multicast


def _literal(host: str) -> str | None:
    """Return the address that a host is written as; None for a name, which only the proxy can look up."""
    if ":" in host:
        return host
    try:
        return socket.inet_ntoa(socket.inet_aton(host))  # which knows 127.1 and 2130706433, too
    except OSError:
        return None
