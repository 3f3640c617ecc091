"""The triggers for slots. Both use the gate of their connection, where all waits share one poll."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.triggers import BaseEventTrigger

from airflow_pixverse.api.credits import AccountCredits
from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.reply_ref import new_random_part
from airflow_pixverse.capabilities import HAS_ASSET_WATCHERS, HAS_TRIGGER_QUEUES, XCOM_RETURN_KEY
from airflow_pixverse.gate.errors import GateMovedError
from airflow_pixverse.parameters import as_json_list, parse_conn_id, parse_emails, parse_seconds, parse_slots
from airflow_pixverse.triggerer.edge_memory import EdgeMemory
from airflow_pixverse.triggerer.shared_gates import gate_of, shared_gate_of
from airflow_pixverse.triggerer.task_end import task_success
from airflow_pixverse.triggers.wait_trigger import FIRST_LOOK_WITHIN, WaitTrigger, as_event
from airflow_pixverse.waits.deadlines import Deadlines, Limit
from airflow_pixverse.waits.events import (
    EVENT_CREDITS,
    WaitStatus,
    end_event,
    retry_event,
    success_event,
    ticket_event,
)
from airflow_pixverse.waits.parameters import WaitParameters

__all__ = ["PixverseCapacityEventTrigger"]

if TYPE_CHECKING:
    import jinja2
    from airflow.triggers.base import TriggerEvent

    from airflow_pixverse.gate.capacity_gate import CapacityGate
    from airflow_pixverse.gate.waiter import Waiter, WaitRequest

# Seconds between two log lines of a waiting task; earlier only if its place in the queue has halved.
_LOG_EVERY = 300.0
_CHECK_PLACE_EVERY = 30.0
# Seconds until a watcher tries again after a permanent error; its own interval may be longer.
_AFTER_FATAL_ERROR = 60.0


class PixverseCapacityTrigger(WaitTrigger[WaitParameters]):
    """
    Wait until the chosen PixVerse accounts together have free slots.

    It does not poll, but queues at the gate of its connection. It sends one event, a dict with ``status``
    (see :class:`WaitStatus`) and ``accounts`` or ``message``.

    :param kwargs: see :class:`~airflow_pixverse.waits.parameters.WaitParameters`.
    """

    parameters = WaitParameters

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The triggerer renders templated parameters, which it finds as attributes.
        self.pixverse_conn_id = kwargs.get("pixverse_conn_id", WaitParameters.pixverse_conn_id)
        self.slots = kwargs.get("slots", WaitParameters.slots)
        self.emails = kwargs.get("emails", WaitParameters.emails)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and parameters, rendered ones included; none of them is secret."""
        path, kwargs = super().serialize()
        rendered = {"pixverse_conn_id": self.pixverse_conn_id, "slots": self.slots, "emails": self.emails}
        return path, kwargs | rendered

    def get_template_env(self, dag: Any = None) -> jinja2.Environment:
        """Return the triggerer's Jinja environment, in which undefined names are errors, too."""
        import jinja2

        environment: jinja2.Environment = super().get_template_env(dag)
        environment.undefined = jinja2.StrictUndefined
        return environment

    async def _end(self, parameters: WaitParameters, payload: dict[str, Any]) -> TriggerEvent:
        """Return the event that ends the wait, or the task."""
        if parameters.end_from_trigger and payload["status"] == WaitStatus.SUCCESS:
            xcoms = {XCOM_RETURN_KEY: payload["accounts"]} if parameters.do_xcom_push else {}
            return await task_success(self, payload, xcoms)
        return as_event(payload)

    async def _wait(self, parameters: WaitParameters) -> dict[str, Any]:
        if parameters.ticket and parameters.waiting_since is None and self._is_retry:
            # There may be a result to fetch, which needs no slot. Only a worker can read the journal.
            return retry_event()
        deadlines = self._deadlines(parameters)
        # Made here, because a wait that starts in the trigger has the same parameters in all runs.
        reference = new_random_part() if parameters.ticket else ""
        if parameters.first_poll_at is not None:
            end, _ = deadlines.first
            await asyncio.sleep(min(parameters.first_poll_at, end) - time.time())
        while True:
            gate = gate_of(parameters.pixverse_conn_id)
            try:
                with gate.queue(self._request(parameters, deadlines.since, reference)) as waiter:
                    payload = await self._wait_at(gate, waiter, deadlines)
                break
            except GateMovedError:
                self.log.info("The connection leads to another token or service now: queueing there")
        if parameters.report_credits and payload["status"] == WaitStatus.SUCCESS:
            email = payload["accounts"][0].get("email")  # which the submit names, if its endpoint takes any
            left = await shared_gate_of(parameters.pixverse_conn_id).credits.get(email)
            payload[EVENT_CREDITS] = AccountCredits(email, left).to_json()
        return payload

    def _request(self, parameters: WaitParameters, since: float, reference: str) -> WaitRequest:
        from airflow_pixverse.api.scheduler import email_keys
        from airflow_pixverse.gate.waiter import WaitRequest

        return WaitRequest(
            slots=parameters.slots,
            emails=None if parameters.emails is None else email_keys(parameters.emails),
            poke_interval=parameters.poke_interval,
            exponential_backoff=parameters.exponential_backoff,
            max_wait=parameters.max_wait or math.inf,
            waiting_since=since,
            priority=parameters.priority_weight,
            dag_id=getattr(self.task_instance, "dag_id", ""),
            lease=parameters.lease,
            connection=parameters.pixverse_conn_id,
            reference=reference,
            # Without a lease, no word comes of what the job has become: a turn would be kept too long.
            holder=self._holder if parameters.ticket and parameters.lease != 0 else "",
        )

    @property
    def _holder(self) -> str:
        """Key of the task instance, the same in each of its tries; empty if unknown."""
        if (ti := self.task_instance) is None:
            return ""
        return json.dumps([ti.dag_id, ti.run_id, ti.task_id, ti.map_index])

    @property
    def _is_retry(self) -> bool:
        return (getattr(self.task_instance, "try_number", None) or 0) > 1

    async def _wait_at(self, gate: CapacityGate, waiter: Waiter, deadlines: Deadlines) -> dict[str, Any]:
        """Wait at a gate until it admits this waiter or its time is up; return the event's payload."""
        end, limit = deadlines.first
        first_look_until = time.time() + FIRST_LOOK_WITHIN
        logged_at, logged_place = -math.inf, math.inf
        while not waiter.admitted.done():
            looked_at = waiter.looked_at.done()
            now = time.time()
            until = end if looked_at or limit is Limit.EXECUTION_TIMEOUT else max(end, first_look_until)
            if now >= until:
                if limit is Limit.EXECUTION_TIMEOUT:
                    return end_event(WaitStatus.EXECUTION_TIMEOUT, "execution_timeout has passed")
                message = f"not enough free slots within {deadlines.timeout:g} s: {gate.describe(waiter)}"
                return end_event(WaitStatus.TIMEOUT, message)
            place = gate.place(waiter)
            if looked_at and (now - logged_at >= _LOG_EVERY or place <= logged_place / 2):
                self.log.info("Waiting for free slots: %s", gate.describe(waiter))
                logged_at, logged_place = now, place
            change: set[asyncio.Future[Any]] = {waiter.admitted}
            if not looked_at:
                change.add(waiter.looked_at)
            timeout = min(until - now, _CHECK_PLACE_EVERY)
            await asyncio.wait(change, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        accounts = [account.to_xcom() for account in waiter.collect()]
        request = waiter.request
        if not request.reference:
            return success_event(accounts)
        return ticket_event(
            accounts,
            reference=request.reference,
            lease=request.lease_seconds,
            waiting_since=deadlines.since,  # of this try; the gate goes by that of the first
            ahead=waiter.ahead,
            awaited=waiter.awaited,
        )


class PixverseCapacityEventTrigger(BaseEventTrigger):
    """
    Send an asset event when PixVerse accounts have room: event-driven scheduling, on Airflow 3.

    Use it in an ``AssetWatcher``. A DAG scheduled by the asset runs each time that the chosen accounts reach
    ``slots`` free slots after having had fewer, and not again while that lasts. The first poll counts as
    such a change; from Airflow 3.3 on, the trigger remembers the state before a restart of the triggerer.
    It never ends, and goes on polling after errors of any kind.

    The event's payload: ``{"accounts": [...], "free_slots": n}``, the accounts as in the sensor's XCom.

    :param pixverse_conn_id: id of the connection that holds the API token.
    :param slots: free slots that cause the event, over all chosen accounts together.
    :param emails: the accounts that count, one string or a list; None for all accounts.
    :param poke_interval: seconds between two polls.
    :param queue: Airflow 3.4 and later only: the queue of the triggerers that may run it; None for
        triggerers without a queue.
    :param kwargs: parameters of a newer version of this package; they are ignored.
    """

    def __init__(
        self,
        *,
        pixverse_conn_id: str = "pixverse_default",
        slots: int = 1,
        emails: list[str] | str | None = None,
        poke_interval: float = 60.0,
        queue: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not HAS_ASSET_WATCHERS:
            raise RuntimeError("PixverseCapacityEventTrigger needs Airflow 3, which has asset watchers")
        super().__init__()  # type: ignore[no-untyped-call]
        self.pixverse_conn_id = pixverse_conn_id
        self.slots = slots
        self.emails = emails
        self.poke_interval = poke_interval
        # Airflow reads it here, and not from what serialize() returns.
        self.queue = queue
        self._unknown_kwargs = kwargs

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Return class path and parameters in a stable form, so that a redeploy keeps the watcher.

        Airflow calls this when it parses the DAG, so bad parameters are refused here: a trigger whose
        ``__init__`` raises would end the triggerer.

        :raises ValueError: a parameter cannot be used; the message names it.
        """
        if self.queue is not None and not HAS_TRIGGER_QUEUES:
            raise ValueError(
                "queue: this Airflow has no queues of triggerers, Airflow 3.4 does. Leave it out"
            )
        emails = parse_emails(as_json_list(self.emails))
        return "airflow_pixverse.triggers.pixverse.PixverseCapacityEventTrigger", {
            "pixverse_conn_id": parse_conn_id(self.pixverse_conn_id),
            "slots": parse_slots(self.slots),
            "emails": None if emails is None else sorted(emails),
            "poke_interval": parse_seconds(self.poke_interval, "poke_interval"),
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Send an event at each change from too few free slots to enough free slots."""
        if self._unknown_kwargs:
            unknown = sorted(self._unknown_kwargs)
            self.log.warning("Another version of airflow-pixverse wrote %s, which is ignored here", unknown)
        try:
            _, kwargs = self.serialize()
        except Exception as error:  # noqa: BLE001 - another version may have written anything
            # Airflow would restart a watcher that ends at once. Redeploying the DAG replaces this one.
            self.log.error("This watcher cannot watch: %s", error)  # noqa: TRY400 - the text says it all
            await asyncio.Event().wait()
        memory = EdgeMemory(self, kwargs)
        had_room = await memory.had_room()
        async with aclosing(self._looks(kwargs)) as looks:
            async for payload in looks:
                has_room = bool(payload["accounts"])
                if has_room == had_room:
                    continue
                had_room = has_room
                if has_room:
                    yield as_event(payload)
                await memory.store(had_room=has_room)

    async def _looks(self, kwargs: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the payload of each poll, without accounts if there is not enough room."""
        from airflow_pixverse.api.scheduler import accounts_with_room

        slots, emails, interval = kwargs["slots"], kwargs["emails"], kwargs["poke_interval"]
        while True:
            try:
                with gate_of(self.pixverse_conn_id).watch(interval, self.pixverse_conn_id) as watcher:
                    while True:
                        capacity = await watcher.next_capacity()
                        accounts = accounts_with_room(capacity, slots, emails)
                        yield {
                            "accounts": [account.to_xcom() for account in accounts],
                            "free_slots": capacity.free_slots(emails),
                        }
            except GateMovedError:
                continue
            except PixverseError as error:
                self.log.warning("The watcher sees nothing until this is fixed: %s", error)
                await asyncio.sleep(max(interval, _AFTER_FATAL_ERROR))
