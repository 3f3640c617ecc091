"""ConnectionClient: the client of one connection, which follows changes of the connection."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.hooks.connection import client_from_connection, connection_label
from airflow_pixverse.hooks.lookup import read_connection_async
from airflow_pixverse.threads import run_in_own_thread

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient

log = logging.getLogger(__name__)

# Seconds after which a connection is read again, to notice a change.
_LIFETIME = 60.0
# Limits in seconds for reading a connection; short if there is a client to go on with.
_FIRST_READ_WITHIN = 30.0
_READ_AGAIN_WITHIN = 5.0
_FIELDS = ("conn_type", "host", "schema", "port", "login", "password", "extra")


class ConnectionClient:
    """The client of a connection, for one event loop."""

    def __init__(self, pixverse_conn_id: str) -> None:
        self.pixverse_conn_id = pixverse_conn_id
        self._label = connection_label(pixverse_conn_id)
        self.definition: tuple[Any, ...] = ()
        self.is_confirmed = False
        """Whether the client was made from the connection as it is now, not as it once was."""
        self._client: PixverseClient | None = None
        self._read_at = 0.0
        self._reading: asyncio.Task[PixverseClient] | None = None

    async def get(self) -> PixverseClient:
        """
        Return the client. Read the connection again if it was last read more than a minute ago.

        A connection that has worked before and cannot be read now keeps its client, unconfirmed. Airflow
        also reports "not found" when its database or a secrets backend is down, and a user may just be
        editing the connection.

        :raises PixverseFatalError: the connection is missing or unusable, and has never worked.
        :raises PixverseTransientError: the connection cannot be read now, and has never worked.
        """
        client = self._client
        if client is not None and self.is_confirmed and time.monotonic() - self._read_at < _LIFETIME:
            return client
        try:
            client = await self._read()
            self.is_confirmed = True
        except Exception as error:
            client = self._client
            if client is None:
                raise
            log.warning("%s keeps the client that it made before: %s", self._label, error)
            self.is_confirmed = False
        self._read_at = time.monotonic()
        return client

    def read_again(self) -> None:
        """Read the connection again before the next call, because the token may have been replaced."""
        self.is_confirmed = False

    def close(self) -> None:
        """Close the client's keep-alive connections to the service."""
        if self._client is not None:
            self._client.close()

    async def _read(self) -> PixverseClient:
        limit = _FIRST_READ_WITHIN if self._client is None else _READ_AGAIN_WITHIN
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_now())
        reading = self._reading  # shared by several callers
        # Not cancelled: Airflow 3.0 to 3.2 would take its late answer for the answer to the next request.
        await asyncio.wait({reading}, timeout=limit)
        if not reading.done():
            raise PixverseTransientError(f"{self._label} could not be read within {limit:g} s")
        if self._reading is reading:
            self._reading = None
        return reading.result()

    async def _read_now(self) -> PixverseClient:
        conn = await read_connection_async(self.pixverse_conn_id)
        definition = tuple(getattr(conn, field, None) for field in _FIELDS)
        # An unchanged connection keeps its client, and with it the keep-alive connections.
        if self._client is None or definition != self.definition:
            # In a thread, because it reads certificates from disk.
            make_client = partial(client_from_connection, conn, max_retries=0)
            client = await run_in_own_thread(make_client, name="pixverse-client")
            self.close()
            self._client, self.definition = client, definition
        return self._client
