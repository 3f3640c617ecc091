"""ConnectionPoller: one look at the capacity of a connection, off the triggerer's event loop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from airflow_pixverse.api.errors import PixverseAuthError, PixverseFatalError, PixverseTransientError
from airflow_pixverse.hooks.connection import client_from_connection
from airflow_pixverse.hooks.pixverse import PixverseHook, reading_connection

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.models import Capacity

# A connection is read again after this many seconds, so that a changed one is noticed.
_CONNECTION_LIFETIME = 60.0


class ConnectionPoller:
    """
    Ask for the capacity of one connection. Only the HTTP call itself runs in a thread.

    :param pixverse_conn_id: id of the connection.
    """

    def __init__(self, pixverse_conn_id: str) -> None:
        self.pixverse_conn_id = pixverse_conn_id
        self._client: PixverseClient | None = None
        self._read_at = 0.0
        self._call: asyncio.Task[Capacity] | None = None

    async def get_capacity(self) -> Capacity:
        """
        Return one snapshot; at most one call is made.

        :raises PixverseFatalError: asking again will not help. A refused token counts only when the
            connection was read for this very call, so that a token can be rotated while tasks wait.
        :raises PixverseTransientError: no usable answer this time.
        """
        client, fresh = self._client, False
        if client is None or time.monotonic() - self._read_at > _CONNECTION_LIFETIME:
            client, fresh = await self._read_connection(), True
        try:
            return await self._bounded_call(client)
        except PixverseAuthError as error:
            self.close()
            if fresh:
                raise
            message = f"{error}; reading the connection again"
            raise PixverseTransientError(message, status=error.status) from None

    def close(self) -> None:
        """Forget the connection; the next call reads it again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _read_connection(self) -> PixverseClient:
        from airflow.providers.common.compat.connection import get_async_connection

        self.close()
        try:
            with reading_connection(self.pixverse_conn_id):
                conn = await get_async_connection(self.pixverse_conn_id, hook=PixverseHook)
        except PixverseFatalError:
            raise
        except Exception as error:
            # A secrets backend or an API server that cannot be reached for a while ends no wait.
            raise PixverseTransientError(
                f"connection {self.pixverse_conn_id!r} could not be read: {type(error).__name__}: {error}"
            ) from error
        self._client = client_from_connection(conn, max_retries=0)
        self._read_at = time.monotonic()
        return self._client

    async def _bounded_call(self, client: PixverseClient) -> Capacity:
        # A read timeout counts per part of an answer, so the whole call has a limit of its own.
        limit = 2 * sum(client.timeout)
        if self._call is not None:
            # One that outlived its limit. It is waited for, or threads would pile up; what it finds may
            # have been asked for with a token of the past.
            await asyncio.wait({self._call}, timeout=limit)
            if not self._call.done():
                raise PixverseTransientError(f"GET scheduler/available has been hanging for over {limit:g} s")
            self._call.exception()
        self._call = asyncio.create_task(asyncio.to_thread(client.get_capacity))
        await asyncio.wait({self._call}, timeout=limit)
        if not self._call.done():
            raise PixverseTransientError(f"GET scheduler/available gave no answer within {limit:g} s")
        call, self._call = self._call, None
        return call.result()
