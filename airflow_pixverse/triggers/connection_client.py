"""ConnectionClient: the client of one connection, kept up to date while waits go on."""

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
    from airflow.providers.common.compat.sdk import Connection

    from airflow_pixverse.api.client import PixverseClient

log = logging.getLogger(__name__)

# A connection is read again after this many seconds, so that a change is noticed.
_LIFETIME = 60.0
# Reading a connection may take this many seconds: not long where a client is there that works without it.
_FIRST_READ_WITHIN = 30.0
_READ_AGAIN_WITHIN = 5.0
_FIELDS = ("conn_type", "host", "schema", "port", "login", "password", "extra")


class ConnectionClient:
    """
    The client that a connection makes. It is for one event loop.

    :param pixverse_conn_id: id of the connection.
    """

    def __init__(self, pixverse_conn_id: str) -> None:
        self.pixverse_conn_id = pixverse_conn_id
        self.definition: tuple[Any, ...] = ()
        self.is_confirmed = False
        """Whether the client is known to be what the connection says, rather than what it once said."""
        self._client: PixverseClient | None = None
        self._read_at = 0.0
        self._reading: asyncio.Task[PixverseClient] | None = None

    async def get(self) -> PixverseClient:
        """
        Return the client, after reading the connection again if the last time was long ago.

        If a connection has worked and now cannot be read or used, its client is kept, but is not confirmed.
        Airflow says "not found" also where its database or a secrets backend does not answer, and somebody
        may be in the middle of editing the connection.

        :raises PixverseFatalError: the connection is missing or cannot be used, and has never worked.
        :raises PixverseTransientError: the connection cannot be read just now, and has never worked.
        """
        if self._client is not None and self.is_confirmed and time.monotonic() - self._read_at < _LIFETIME:
            return self._client
        try:
            client = await self._read()
        except Exception as error:
            if self._client is None:
                raise
            log.warning("%s keeps the client that it made before: %s", self._label, error)
            self._confirm(is_confirmed=False)
            return self._client
        self._confirm(is_confirmed=True)
        return client

    def read_again(self) -> None:
        """Read the connection again before the next call: a token may have been replaced."""
        self.is_confirmed = False

    def close(self) -> None:
        """Close the connections to the service that are kept alive."""
        if self._client is not None:
            self._client.close()

    @property
    def _label(self) -> str:
        return connection_label(self.pixverse_conn_id)

    def _confirm(self, *, is_confirmed: bool) -> None:
        self.is_confirmed = is_confirmed
        self._read_at = time.monotonic()

    async def _read(self) -> PixverseClient:
        limit = _FIRST_READ_WITHIN if self._client is None else _READ_AGAIN_WITHIN
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_now())
        reading = self._reading  # which several may wait for
        # Not cancelled: Airflow 3.0 to 3.2 would take its late answer for that to the next question.
        await asyncio.wait({reading}, timeout=limit)
        if not reading.done():
            raise PixverseTransientError(f"{self._label} could not be read within {limit:g} s")
        if self._reading is reading:
            self._reading = None
        return reading.result()

    async def _read_now(self) -> PixverseClient:
        conn = await read_connection_async(self.pixverse_conn_id)
        definition = _definition(conn)
        # An unchanged connection keeps its client, and with it what is kept alive.
        if self._client is None or definition != self.definition:
            # In a thread, since it reads certificates from a disk.
            make_client = partial(client_from_connection, conn, max_retries=0)
            client = await run_in_own_thread(make_client, name="pixverse-client")
            self.close()
            self._client, self.definition = client, definition
        return self._client


def _definition(conn: Connection) -> tuple[Any, ...]:
    return tuple(getattr(conn, field, None) for field in _FIELDS)
