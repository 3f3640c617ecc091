"""
The gates of an event loop, one for each service and token, and the calls that they make.

The token of a connection is only known once the connection has been read. Until then its waits queue at a
gate of their own. Once the token is known, and whenever it changes, :meth:`SharedGates.assign_gate` decides:
the gate keeps its waits and uses the new token, or the waits move to the gate that exists for that token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_pixverse.api.credits import read_credits
from airflow_pixverse.api.errors import PixverseError, PixverseFatalError, PixverseTransientError
from airflow_pixverse.gate.errors import GateMovedError
from airflow_pixverse.threads import run_in_own_thread
from airflow_pixverse.triggerer.connection_client import ConnectionClient
from airflow_pixverse.triggerer.gate_metrics import GateMetrics
from airflow_pixverse.triggerer.shared_credits import SharedCredits

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.api.scheduler import Capacity
    from airflow_pixverse.gate.capacity_gate import CapacityGate

# Seconds after which an unused gate is dropped, and the token with it.
_FORGOTTEN_AFTER = 3600.0
# Seconds beyond a call's own limit after which it is given up. Only a hanging name look-up takes that long.
_GRACE = 5.0
# Result calls at a time, for all jobs of a gate together.
_RESULT_CALLS = 4

_Answer = TypeVar("_Answer")

_of_loop: dict[asyncio.AbstractEventLoop, SharedGates] = {}


def gate_of(pixverse_conn_id: str) -> CapacityGate:
    """Return the gate of a connection in the running event loop."""
    return shared_gate_of(pixverse_conn_id).gate


def shared_gate_of(pixverse_conn_id: str) -> SharedGate:
    """Return the gate of a connection in the running event loop, together with its calls."""
    loop = asyncio.get_running_loop()
    if loop not in _of_loop:
        for closed in [other for other in _of_loop if other.is_closed()]:  # dag.test() makes many loops
            del _of_loop[closed]
        _of_loop[loop] = SharedGates()
    return _of_loop[loop].shared_gate_of(pixverse_conn_id)


class SharedGates:
    """The gates of one event loop."""

    def __init__(self) -> None:
        self._by_connection: dict[str, SharedGate] = {}
        self._by_identity: dict[str, SharedGate] = {}
        self._clients: dict[str, ConnectionClient] = {}
        self._forgetting: asyncio.TimerHandle | None = None

    def shared_gate_of(self, pixverse_conn_id: str) -> SharedGate:
        """Return the gate where the waits of a connection queue."""
        if pixverse_conn_id not in self._by_connection:
            self._by_connection[pixverse_conn_id] = SharedGate(self, pixverse_conn_id)
            self._clients[pixverse_conn_id] = ConnectionClient(pixverse_conn_id)
        shared = self._by_connection[pixverse_conn_id]
        shared.used_at = time.monotonic()
        self._forget_later()
        return shared

    def client_of(self, pixverse_conn_id: str) -> ConnectionClient:
        """Return the client of a connection that :meth:`shared_gate_of` knows."""
        return self._clients[pixverse_conn_id]

    def assign_gate(self, pixverse_conn_id: str, shared: SharedGate, client: PixverseClient) -> bool:
        """
        Assign the waits of a connection to the gate of its service and token.

        :param shared: the gate where they queue now.
        :param client: the client of the connection.
        :return: True if they stay at that gate.
        """
        target = self._by_identity.get(client.identity)
        if target is shared:
            return True
        connections = {conn_id for conn_id, other in self._by_connection.items() if other is shared}
        if target is None and connections <= {pixverse_conn_id}:
            self._by_identity.pop(shared.identity, None)
            self._by_identity[client.identity] = shared
            shared.identify(client)
            return True
        if target is None:
            target = self._by_identity[client.identity] = SharedGate(self, pixverse_conn_id)
            target.identify(client)
        if shared.base_url == target.base_url:
            # Another token, probably for the same accounts, so their leases count here, too.
            target.gate.adopt_leases(shared.gate)
        target.used_at = time.monotonic()
        self._by_connection[pixverse_conn_id] = target
        shared.gate.move_out(pixverse_conn_id)
        return False

    def _forget_later(self) -> None:
        if self._forgetting is None and self._by_connection:
            loop = asyncio.get_running_loop()
            self._forgetting = loop.call_later(_FORGOTTEN_AFTER, self._forget_unused, context=Context())

    def _forget_unused(self) -> None:
        self._forgetting = None
        now = time.monotonic()
        known = {*self._by_connection.values(), *self._by_identity.values()}
        unused = {one for one in known if one.gate.is_idle and now - one.used_at >= _FORGOTTEN_AFTER}
        self._by_connection = {key: one for key, one in self._by_connection.items() if one not in unused}
        self._by_identity = {key: one for key, one in self._by_identity.items() if one not in unused}
        for pixverse_conn_id in self._clients.keys() - self._by_connection.keys():
            self._clients.pop(pixverse_conn_id).close()
        self._forget_later()


class SharedGate:
    """
    A gate and its calls.

    :param gates: the gates of this event loop.
    :param pixverse_conn_id: id of the connection that the gate is made for; a tag of its metrics.
    """

    def __init__(self, gates: SharedGates, pixverse_conn_id: str) -> None:
        from airflow_pixverse.gate.capacity_gate import CapacityGate

        # Service and token of the gate; empty while unknown.
        self.base_url = self.identity = ""
        self.used_at = time.monotonic()
        self.gate: CapacityGate = CapacityGate(self._get_capacity, observer=GateMetrics(pixverse_conn_id))
        self.credits = SharedCredits(self._read_credits)
        """The credits of the accounts."""
        self._gates = gates
        self._call: asyncio.Task[Capacity] | None = None
        self._answered: PixverseClient | None = None
        self._result_calls = asyncio.Semaphore(_RESULT_CALLS)

    def identify(self, client: PixverseClient) -> None:
        """Bind the gate to the service and token of a client."""
        self.base_url, self.identity = client.base_url, client.identity

    async def get_result(self, job_id: str) -> JobResult:
        """
        Fetch the result of a job that is tracked at this gate.

        :raises PixverseFatalError: a permanent error on every connection. All connections are read again
            before the next call.
        :raises PixverseTransientError: no usable answer this time.
        :raises GateMovedError: the connection belongs to another gate now.
        """
        return await self._first_answer(partial(self._bounded_result_call, job_id))

    async def _read_credits(self, email: str | None) -> int | None:
        if (client := self._answered) is None:
            return None
        return await run_in_own_thread(partial(read_credits, client, email), name="pixverse-credits")

    async def _get_capacity(self) -> Capacity:
        return await self._first_answer(self._bounded_call)

    async def _first_answer(self, call: Callable[[PixverseClient], Awaitable[_Answer]]) -> _Answer:
        """
        Return the answer of the first call that succeeds.

        If a call fails, connections that reach the service differently, through another proxy for example,
        are tried, too: an error of one connection says nothing about the others. The errors are those of
        :meth:`get_result`.
        """
        self.used_at = time.monotonic()
        errors: list[PixverseError] = []
        for client in await self._usable_clients():
            try:
                answer = await call(client)
            except PixverseError as error:
                errors.append(error)
            else:
                self._answered = client
                return answer
        connections = [self._gates.client_of(conn_id) for conn_id in self.gate.connections]
        are_confirmed = all(connection.is_confirmed for connection in connections)
        passing = next((error for error in errors if not isinstance(error, PixverseFatalError)), None)
        if passing is not None:
            raise passing
        for connection in connections:
            connection.read_again()
        if not are_confirmed:
            # The connection may have changed since it was last read.
            raise PixverseTransientError(f"{errors[0]}; the connection cannot be read again to make sure")
        raise errors[0]

    async def _usable_clients(self) -> list[PixverseClient]:
        """
        Return a client for each distinct connection, the one with the last answer first.

        Waits whose connection now has another service or token move to its gate.
        """
        clients: dict[tuple[Any, ...], PixverseClient] = {}
        trouble: Exception | None = None
        for pixverse_conn_id in sorted(self.gate.connections):
            connection = self._gates.client_of(pixverse_conn_id)
            try:
                client = await connection.get()
            except Exception as error:  # noqa: BLE001 - raised below, if no other connection is usable
                trouble = error
                continue
            if self._gates.assign_gate(pixverse_conn_id, self, client):
                clients.setdefault(connection.definition, client)
        if not clients:
            raise trouble or GateMovedError("no wait is left at this gate")
        return sorted(clients.values(), key=lambda client: client is not self._answered)

    async def _bounded_call(self, client: PixverseClient) -> Capacity:
        limit = client.call_timeout + _GRACE
        if self._call is not None:
            # Wait for a call that was given up, or threads would pile up. Its answer does not count: it may
            # have been fetched with an old token.
            await asyncio.wait({self._call}, timeout=limit)
            if not self._call.done():
                raise PixverseTransientError(f"a call to {client.base_url} has been hanging for {limit:g} s")
            self._call.exception()
        call = run_in_own_thread(client.get_capacity, name="pixverse-capacity")
        self._call = asyncio.create_task(call)
        await asyncio.wait({self._call}, timeout=limit)
        if not self._call.done():
            raise PixverseTransientError(f"{client.base_url} gave no answer within {limit:g} s")
        finished, self._call = self._call, None
        return finished.result()

    async def _bounded_result_call(self, job_id: str, client: PixverseClient) -> JobResult:
        limit = client.call_timeout + _GRACE
        await self._result_calls.acquire()
        get_result = partial(client.get_result, job_id)
        call = asyncio.create_task(run_in_own_thread(get_result, name="pixverse-result"))
        # Also after it was given up, so that threads do not pile up.
        call.add_done_callback(self._end_result_call)
        await asyncio.wait({call}, timeout=limit)
        if not call.done():
            raise PixverseTransientError(f"{client.base_url} gave no answer within {limit:g} s")
        return call.result()

    def _end_result_call(self, call: asyncio.Task[JobResult]) -> None:
        self._result_calls.release()
        if not call.cancelled():
            call.exception()  # retrieved, because no waiter may be left to do so
