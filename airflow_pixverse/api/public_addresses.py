"""Connections to public addresses only: whoever may name a URL must not reach what is in this network."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_pixverse.api.deadline import (
    DeadlineAdapter,
    WatchedConnection,
    WatchedHTTPSConnection,
    WatchedHTTPSPool,
    WatchedPool,
)

if TYPE_CHECKING:
    from urllib3.connectionpool import HTTPConnectionPool

# All that is public in IPv6; the rest has uses of its own, or none yet.
_PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")
# IPv6 addresses that a translator turns into the IPv4 address in their last bits.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


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


class PublicAdapter(DeadlineAdapter):
    """Connects to public addresses only. It looks at what a name stands for in the moment it connects."""

    @property
    def direct_pools(self) -> dict[str, type[HTTPConnectionPool]]:
        """The pools of direct connections, by scheme."""
        return {"http": _PublicPool, "https": _PublicHTTPSPool}


class _PublicConnection(WatchedConnection):
    def check_addresses(self, addresses: list[str]) -> None:
        check_public(addresses)


class _PublicHTTPSConnection(WatchedHTTPSConnection):
    def check_addresses(self, addresses: list[str]) -> None:
        check_public(addresses)


class _PublicPool(WatchedPool):
    ConnectionCls = _PublicConnection


class _PublicHTTPSPool(WatchedHTTPSPool):
    ConnectionCls = _PublicHTTPSConnection


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            return _is_public(str(embedded))
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
