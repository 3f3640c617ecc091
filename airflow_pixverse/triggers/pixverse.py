"""The triggers. Both look at the accounts through the gate of their connection: all share one poll."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_pixverse.api.errors import PixverseError, PixverseFatalError
from airflow_pixverse.parameters import parse_conn_id, parse_emails, parse_poke_interval, parse_slots, plain
from airflow_pixverse.triggers.gates import gate_of

if TYPE_CHECKING:
    from airflow_pixverse.gate import WaitRequest

# How much later than the trigger's own deadline Airflow ends a wait whose trigger does not run.
SAFETY_NET = 60.0
# A waiting task's log says how it stands at the first look, and then every so many seconds.
_LOG_EVERY = 300.0
# How long a watcher waits at least before it tries a refused token again, in seconds.
_AFTER_FATAL_ERROR = 60.0


class WaitStatus(StrEnum):
    """How a wait in the triggerer ended: the ``status`` of the trigger's event."""

    SUCCESS = "success"
    TIMEOUT = "timeout"
    EXECUTION_TIMEOUT = "execution_timeout"
    FATAL = "fatal"
    ERROR = "error"


class PixverseCapacityTrigger(BaseTrigger):
    """
    Wait until the chosen PixVerse accounts together have free slots.

    It does not poll, but queues at the gate of its connection. It sends one event, a dict with ``status``
    (see :class:`WaitStatus`) and ``accounts`` or ``message``. Nothing but cancellation escapes :meth:`run`,
    since Airflow takes a trigger that raised for a reason to skip. All parameters are plain JSON with a
    default: another version of this package may have written them.

    :param pixverse_conn_id: id of the connection that holds the API token.
    :param slots: free slots to wait for.
    :param emails: the accounts to look at; None for all.
    :param poke_interval: seconds between two looks.
    :param exponential_backoff: let the interval grow with the time waited.
    :param max_wait: longest interval in seconds; None for no limit.
    :param timeout: seconds after ``waiting_since`` when the wait times out; None for never.
    :param execution_timeout: seconds after ``waiting_since`` when that is reached; None for never.
    :param waiting_since: when the wait began, in seconds since the epoch; None if it begins in the trigger.
    :param first_poll_at: when to queue, in seconds since the epoch; None for at once.
    :param lease: seconds for which a slot given to this wait is kept from others; None for the default.
    :param end_from_trigger: end the task here if slots are free, without a worker.
    :param do_xcom_push: whether a task that ends here pushes the accounts to XCom.
    """

    def __init__(
        self,
        *,
        pixverse_conn_id: str = "pixverse_default",
        slots: int | str = 1,
        emails: list[str] | str | None = None,
        poke_interval: float = 60.0,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
        timeout: float | None = None,
        execution_timeout: float | None = None,
        waiting_since: float | None = None,
        first_poll_at: float | None = None,
        lease: float | None = None,
        end_from_trigger: bool = False,
        do_xcom_push: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pixverse_conn_id = pixverse_conn_id
        self.slots = slots
        self.emails = emails
        self.poke_interval = poke_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self.timeout = timeout
        self.execution_timeout = execution_timeout
        self.waiting_since = waiting_since
        self.first_poll_at = first_poll_at
        self.lease = lease
        self.end_from_trigger = end_from_trigger
        self.do_xcom_push = do_xcom_push

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and parameters; none of them is secret."""
        return "airflow_pixverse.triggers.pixverse.PixverseCapacityTrigger", {
            "pixverse_conn_id": self.pixverse_conn_id,
            "slots": self.slots,
            "emails": self.emails,
            "poke_interval": self.poke_interval,
            "exponential_backoff": self.exponential_backoff,
            "max_wait": self.max_wait,
            "timeout": self.timeout,
            "execution_timeout": self.execution_timeout,
            "waiting_since": self.waiting_since,
            "first_poll_at": self.first_poll_at,
            "lease": self.lease,
            "end_from_trigger": self.end_from_trigger,
            "do_xcom_push": self.do_xcom_push,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send the one event that says how the wait ended."""
        try:
            since = self._waiting_since()
            async with asyncio.timeout(_until(since, self.execution_timeout)):
                payload = await self._wait(since)
        except TimeoutError:
            payload = _event(WaitStatus.EXECUTION_TIMEOUT, message="execution_timeout has passed")
        except PixverseFatalError as error:
            payload = _event(WaitStatus.FATAL, message=str(error))
        except Exception as error:
            self.log.exception("The trigger failed")
            payload = _event(WaitStatus.ERROR, message=f"the trigger failed: {error!r}")
        if self.end_from_trigger and payload["status"] == WaitStatus.SUCCESS:
            yield await self._end(payload)
        else:
            yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def _end(self, payload: dict[str, Any]) -> TriggerEvent:
        """Return the event that ends the task here, or resumes it on a worker where XCom needs one."""
        xcoms = {"return_value": payload["accounts"]} if self.do_xcom_push else None
        if xcoms and AIRFLOW_V_3_0_PLUS:
            if not await self._push_xcom(payload["accounts"]):
                return TriggerEvent(payload)  # type: ignore[no-untyped-call]
            xcoms = None
        end = TaskSuccessEvent(xcoms=xcoms)
        end.payload = payload  # dag.test() resumes the task with it
        return end

    async def _push_xcom(self, accounts: list[dict[str, Any]]) -> bool:
        """
        Push the accounts as a worker does, and tell whether that could be done (from Airflow 3.3 on).

        What ``TaskSuccessEvent`` carries, Airflow 3 stores as a string, and nothing can be mapped over it.
        """
        from airflow.providers.common.compat.sdk import XCom

        if (ti := self.task_instance) is None:
            return True  # dag.test(), which has a worker return them
        if not hasattr(XCom, "aset"):
            return False
        try:
            await XCom.aset(
                "return_value",
                accounts,
                dag_id=ti.dag_id,
                run_id=ti.run_id,
                task_id=ti.task_id,
                map_index=ti.map_index,
                _mapped_length=len(accounts),
            )
        except Exception:
            self.log.warning("XCom could not be pushed here, so a worker does", exc_info=True)
            return False
        return True

    async def _wait(self, since: float) -> dict[str, Any]:
        request = self._request(since)
        if self.first_poll_at is not None:
            await asyncio.sleep(min(self.first_poll_at - time.time(), self._remaining(since)))
        gate = gate_of(self.pixverse_conn_id)
        with gate.queue(request) as waiter:
            # However short the timeout, a wait is looked at once.
            first_look: set[asyncio.Future[Any]] = {waiter.admitted, waiter.looked_at}
            await asyncio.wait(first_look, return_when=asyncio.FIRST_COMPLETED)
            while not waiter.admitted.done():
                if not (remaining := self._remaining(since)):
                    trouble = f"; last API error: {gate.trouble}" if gate.trouble else ""
                    message = f"fewer than {self.slots} slots free for {self.timeout:g} s{trouble}"
                    return _event(WaitStatus.TIMEOUT, message=message)
                self.log.info("Waiting for %s free slots: %s", self.slots, gate.describe(waiter))
                await asyncio.wait({waiter.admitted}, timeout=min(_LOG_EVERY, remaining))
            accounts = [account.to_xcom() for account in waiter.collect()]
        return _event(WaitStatus.SUCCESS, accounts=accounts)

    def _request(self, since: float) -> WaitRequest:
        from airflow_pixverse.api.models import email_keys
        from airflow_pixverse.gate import WaitRequest

        try:
            parse_conn_id(self.pixverse_conn_id)
            slots, emails = parse_slots(self.slots), parse_emails(self.emails)
        except ValueError as error:
            raise PixverseFatalError(str(error)) from None
        return WaitRequest(
            slots=slots,
            emails=None if emails is None else email_keys(emails),
            poke_interval=self.poke_interval,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait or math.inf,
            waiting_since=since,
            lease=self.lease,
        )

    def _waiting_since(self) -> float:
        """Return when the wait began, which the kwargs do not tell where it began in the trigger."""
        if self.waiting_since is not None:
            return self.waiting_since
        if timeout_after := getattr(self, "timeout_after", None):  # Airflow 3.3 and later
            return float(timeout_after.timestamp()) - safety_timeout(self.timeout, self.execution_timeout)
        started = getattr(self.task_instance, "start_date", None)
        return float(started.timestamp()) if started else time.time()

    def _remaining(self, since: float) -> float:
        remaining = _until(since, self.timeout)
        return math.inf if remaining is None else max(0.0, remaining)


class PixverseCapacityEventTrigger(BaseEventTrigger):
    """
    Tell an asset that PixVerse accounts have room: event-driven scheduling, on Airflow 3.

    Use it in an ``AssetWatcher``: a DAG scheduled by the asset runs each time that the chosen accounts come
    to have ``slots`` free after having had fewer, and not again while it stays so. The first look counts as
    such a change; from Airflow 3.3 on, the state before a restart of the triggerer is remembered. It never
    ends, and keeps looking through trouble of any kind.

    The event's payload: ``{"accounts": [...], "free_slots": n}``, the accounts as in the sensor's XCom.

    :param pixverse_conn_id: id of the connection that holds the API token.
    :param slots: free slots that make the event, over all chosen accounts together.
    :param emails: the accounts to look at, one string or a list; None for all.
    :param poke_interval: seconds between two looks.
    """

    def __init__(
        self,
        *,
        pixverse_conn_id: str = "pixverse_default",
        slots: int = 1,
        emails: list[str] | str | None = None,
        poke_interval: float = 60.0,
    ) -> None:
        if not AIRFLOW_V_3_0_PLUS:
            raise RuntimeError("PixverseCapacityEventTrigger needs Airflow 3, which has asset watchers")
        super().__init__()  # type: ignore[no-untyped-call]
        self.pixverse_conn_id = pixverse_conn_id
        self.slots = slots
        self.emails = emails
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Return class path and parameters, in the same form each time: it is the same watcher after a redeploy.

        Airflow asks for them when it parses the DAG. That is why bad parameters are refused here: a trigger
        whose ``__init__`` raises would take the triggerer down with it.

        :raises ValueError: a parameter cannot be used; the message names it.
        """
        emails = parse_emails(plain(self.emails))
        return "airflow_pixverse.triggers.pixverse.PixverseCapacityEventTrigger", {
            "pixverse_conn_id": parse_conn_id(self.pixverse_conn_id),
            "slots": parse_slots(self.slots),
            "emails": None if emails is None else sorted(emails),
            "poke_interval": parse_poke_interval(self.poke_interval),
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Send an event at each change from too few free slots to enough."""
        from airflow_pixverse.api.models import accounts_with_room

        gate = gate_of(self.pixverse_conn_id)
        slots, emails = parse_slots(self.slots), parse_emails(self.emails)
        had_room = await self._remembered()
        while True:
            try:
                capacity = await gate.next_capacity(self.poke_interval)
            except PixverseError as error:
                self.log.warning("Nothing can be seen until this is mended: %s", error)
                await asyncio.sleep(max(self.poke_interval, _AFTER_FATAL_ERROR))
                continue
            accounts = accounts_with_room(capacity, slots, emails)
            if bool(accounts) == had_room:
                continue
            had_room = bool(accounts)
            if had_room:
                payload = {
                    "accounts": [account.to_xcom() for account in accounts],
                    "free_slots": capacity.free_slots(emails),
                }
                yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
            await self._remember(had_room=had_room)

    @property
    def _memory_key(self) -> str:
        return "pixverse_capacity_" + hashlib.sha256(repr(self.serialize()).encode()).hexdigest()[:16]

    async def _remembered(self) -> bool:
        try:
            return bool(self._store and await self._store.aget(self._memory_key))
        except Exception:
            self.log.warning("The state before the restart is not known", exc_info=True)
            return False

    async def _remember(self, *, had_room: bool) -> None:
        try:
            if self._store:
                await self._store.aset(self._memory_key, had_room)
        except Exception:
            self.log.warning("The state will not be known after a restart", exc_info=True)

    @property
    def _store(self) -> Any:
        return getattr(self, "asset_state_store", None)  # Airflow 3.3 and later


def safety_timeout(timeout: float | None, execution_timeout: float | None) -> float:
    """Return after how many seconds Airflow itself ends the deferral."""
    return min(math.inf if timeout is None else timeout + SAFETY_NET, execution_timeout or math.inf)


def _until(since: float, patience: float | None) -> float | None:
    """Return the seconds that are left of so much patience; None for no limit."""
    return None if patience is None else since + patience - time.time()


def _event(status: WaitStatus, **details: Any) -> dict[str, Any]:
    return {"status": str(status), **details}
