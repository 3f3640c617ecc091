"""ConnectionClient: the client of one connection, kept up to date while waits go on."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.hooks.connection import client_from_connection
from airflow_pixverse.hooks.lookup import read_connection_async
from airflow_pixverse.threads import run_in_own_thread

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_pixverse.api.client import PixverseClient

log = logging.getLogger(__name__)

# A connection is read again after this many seconds, so that a change is noticed.
_LIFETIME = 60.0
_FIELDS = ("conn_type", "host", "schema", "port", "login", "password", "extra")


class ConnectionClient:
    """
    The client that a connection makes. It is for one event loop, and for one caller at a time.

    :param pixverse_conn_id: id of the connection.
    """

    def __init__(self, pixverse_conn_id: str) -> None:
        self.pixverse_conn_id = pixverse_conn_id
        self._client: PixverseClient | None = None
        self._definition: tuple[Any, ...] = ()
        self._read_at = 0.0
        self._stale = True

    async def get(self) -> PixverseClient:
        """
        Return the client, after reading the connection again if the last time was long ago.

        A connection that has worked and cannot be read or used any more is taken for a passing trouble: the
        client stays as it is. Airflow says "not found" also where its database or a secrets backend does
        not answer, and somebody may be in the middle of editing it.

        :raises PixverseFatalError: the connection is missing or cannot be used, and has never worked.
        :raises PixverseTransientError: the connection cannot be read just now, and has never worked.
        """
        if self._client is not None and not self._stale and time.monotonic() - self._read_at < _LIFETIME:
            return self._client
        try:
            client = await self._read()
        except PixverseError as error:
            if self._client is None:
                raise
            log.warning("The client made of connection %r before is kept: %s", self.pixverse_conn_id, error)
            client = self._client
        self._read_at = time.monotonic()
        self._stale = False
        return client

    def read_again(self) -> None:
        """Read the connection again before the next call: a token may have been replaced."""
        self._stale = True

    def close(self) -> None:
        """Close the connections to the service that are kept alive."""
        if self._client is not None:
            self._client.close()

    async def _read(self) -> PixverseClient:
        conn = await read_connection_async(self.pixverse_conn_id)
        definition = _definition(conn)
        # An unchanged connection keeps its client, and with it the connections that are kept alive.
        if self._client is None or definition != self._definition:
            # In a thread, since it reads certificates from a disk.
            make_client = partial(client_from_connection, conn, max_retries=0)
            client = await run_in_own_thread(make_client, name="pixverse-client")
            self.close()
            self._client, self._definition = client, definition
        return self._client


def _definition(conn: Connection) -> tuple[Any, ...]:
    return tuple(getattr(conn, field, None) for field in _FIELDS)
