"""
A total time limit for an HTTP call, whatever the server does.

The timeouts of ``requests`` count per byte: a server that sends a byte now and then, in the TLS handshake,
the status line, a header, a chunk's size or a trailer, holds a call forever. A :class:`Deadline` shuts down
the sockets that were opened or used within it, and so ends all reads from them. Only the look-up of a name is
not subject to it: nothing can interrupt the system's resolver, which has time limits of its own.

The seam to urllib3 2.x is :meth:`WatchedConnection._new_conn`, a private method that this module overrides. A
new major version of urllib3 needs a look at this file, and at no other.
"""

import math
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from http.client import HTTPException, HTTPResponse
from types import MappingProxyType
from typing import Any, Self

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

DEFAULT_TIMEOUT = (10.0, 30.0)
"""Seconds to wait for a connection, and for each part of a response."""


class Deadline:
    """
    A context manager that shuts down in time the sockets that a :class:`DeadlineAdapter` uses within it.

    ``sent`` tells whether a request may have left this machine, in part or whole. As long as it is False, no
    service can have received it.

    :param seconds: seconds until the sockets are shut down.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self.sent = False
        self._seconds = seconds
        self._lock = threading.Lock()
        self._is_over = False
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self.postpone()
        self._start_timer(self._seconds)
        self._token: Token[Deadline | None] = _current.set(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _current.reset(self._token)
        with self._lock:
            self._is_over = True
            self._timer.cancel()
            while self._sockets:
                self._sockets.pop().close()

    def postpone(self) -> None:
        """Count the seconds from now on, since a part has arrived or has been sent."""
        self._ends = time.monotonic() + self._seconds

    def pause(self) -> None:
        """Count no seconds until :meth:`postpone`, since the next wait is not for the network."""
        self._ends = math.inf

    def watch(self, file_descriptor: int) -> None:
        """Shut this socket down when the time is over, whatever object owns it then."""
        # A duplicate, since TLS takes the descriptor over, and a closed one is soon another file's.
        duplicate = socket.socket(fileno=os.dup(file_descriptor))
        with self._lock:
            self._sockets.append(duplicate)
            if self.passed:
                _shut_down(duplicate)

    def _start_timer(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True
        self._timer.start()

    def _pass(self) -> None:
        with self._lock:
            if self._is_over:
                return
            if (rest := self._ends - time.monotonic()) > 0:  # it was postponed
                self._start_timer(min(rest, self._seconds))
                return
            self.passed = True
            for watched in self._sockets:
                _shut_down(watched)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current_deadline() -> Deadline | None:
    """Return the deadline of the current context; None for no deadline."""
    return _current.get()


class UnsupportedProxyError(ValueError):
    """A proxy of a kind that is not supported."""


class _Response(HTTPResponse):
    """A response that refuses malformed headers, which urllib3 would log as they are, and drops cookies."""

    def begin(self) -> None:
        super().begin()
        if self.headers.defects or self.headers.get_payload():
            raise HTTPException("malformed headers")
        del self.headers["Set-Cookie"]


class WatchedConnection(HTTPConnection):
    """A connection whose socket the current deadline knows before anything is received."""

    response_class = _Response
    # Set on http.client's own class, as is often advised, it would print every header, and the token.
    debuglevel = 0

    _deadline: Deadline | None = None

    def _new_conn(self) -> socket.socket:  # the seam to urllib3
        self._deadline = _current.get()
        try:
            return self._connected_socket()
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "the connection timed out") from error
        except OSError as error:
            raise NewConnectionError(self, "no connection") from error

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request, over the connection kept alive if there is one."""
        deadline = _current.get()
        if deadline is not None and deadline is not self._deadline and self.sock is not None:
            self._deadline = deadline
            deadline.watch(self.sock.fileno())
        if self.sock is None:
            self.connect()  # here, since a later error could not be told from one of sending
        if deadline is not None:
            deadline.sent = True
        super().request(*args, **kwargs)

    def _connected_socket(self) -> socket.socket:
        """Try the addresses of the host in turn, as ``socket.create_connection`` does."""
        addresses = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        self.check_addresses([str(address[0]) for *_, address in addresses])
        failure: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in addresses:
            if self._deadline is not None and self._deadline.passed:
                break
            connection = socket.socket(family, kind, protocol)
            try:
                self._prepare(connection)
                connection.connect(address)
            except OSError as error:
                failure = error
                connection.close()
            else:
                return connection
        raise failure

    def check_addresses(self, addresses: list[str]) -> None:
        """Raise an error, which ends the request, unless all these addresses may be connected to."""

    def _prepare(self, connection: socket.socket) -> None:
        for option in self.socket_options or ():
            connection.setsockopt(*option)
        connection.settimeout(self.timeout)
        if self._deadline is not None:
            self._deadline.watch(connection.fileno())


class WatchedHTTPSConnection(WatchedConnection, HTTPSConnection):
    """The same over TLS."""


class WatchedPool(HTTPConnectionPool):
    """A pool of watched connections."""

    ConnectionCls = WatchedConnection


class WatchedHTTPSPool(HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = WatchedHTTPSConnection


class DeadlineAdapter(HTTPAdapter):
    """
    A transport adapter of ``requests`` with connections that are subject to the current :class:`Deadline`.

    It never repeats a request by itself. SOCKS proxies have connections of their own and are refused.
    """

    direct_pools: Mapping[str, type[HTTPConnectionPool]] = MappingProxyType(
        {"http": WatchedPool, "https": WatchedHTTPSPool}
    )
    """The pools of direct connections, by scheme."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the manager of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self.direct_pools

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Return the manager of the connections through a proxy."""
        if proxy.lower().startswith("socks"):
            raise UnsupportedProxyError
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = DeadlineAdapter.direct_pools
        return manager


def _shut_down(watched: socket.socket) -> None:
    with suppress(OSError):  # it may not be connected, or not any more
        watched.shutdown(socket.SHUT_RDWR)
