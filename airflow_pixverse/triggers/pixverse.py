"""PixverseCapacityTrigger: wait for free slots in the triggerer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.parameters import parse_emails, parse_slots
from airflow_pixverse.triggers.poller import ConnectionPoller

_SHORTEST_INTERVAL = 0.1


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

    It sends one event, a dict with ``status`` (see :class:`WaitStatus`) and ``accounts`` or ``message``.
    Nothing but cancellation escapes :meth:`run`, since Airflow takes a trigger that raised for a reason to
    skip. All parameters are plain JSON with a default: another version of this package may have written them.

    :param pixverse_conn_id: id of the connection that holds the API token.
    :param slots: free slots to wait for.
    :param emails: the accounts to look at; None for all.
    :param poke_interval: seconds between two looks.
    :param exponential_backoff: let the interval grow with the time waited.
    :param max_wait: longest interval in seconds; None for no limit.
    :param waiting_since: when the wait began, in seconds since the epoch.
    :param timeout_at: when ``timeout`` is reached, in seconds since the epoch; None for never.
    :param execution_timeout_at: when ``execution_timeout`` is reached, likewise.
    :param lease: seconds for which a slot given to this wait is kept from others; None for the default.
    :param first_poll_at: when to look first, in seconds since the epoch; None for at once.
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
        waiting_since: float | None = None,
        timeout_at: float | None = None,
        execution_timeout_at: float | None = None,
        lease: float | None = None,
        first_poll_at: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pixverse_conn_id = pixverse_conn_id
        self.slots = slots
        self.emails = emails
        self.poke_interval = poke_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self.waiting_since = waiting_since
        self.timeout_at = timeout_at
        self.execution_timeout_at = execution_timeout_at
        self.lease = lease
        self.first_poll_at = first_poll_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and parameters; none of them is secret."""
        parameters = (
            "pixverse_conn_id",
            "slots",
            "emails",
            "poke_interval",
            "exponential_backoff",
            "max_wait",
            "waiting_since",
            "timeout_at",
            "execution_timeout_at",
            "lease",
            "first_poll_at",
        )
        return "airflow_pixverse.triggers.pixverse.PixverseCapacityTrigger", {
            name: getattr(self, name) for name in parameters
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send the one event that says how the wait ended."""
        try:
            async with asyncio.timeout(_until(self.execution_timeout_at)):
                event = await self._wait()
        except TimeoutError:
            event = {"status": WaitStatus.EXECUTION_TIMEOUT, "message": "execution_timeout has passed"}
        except PixverseFatalError as error:
            event = {"status": WaitStatus.FATAL, "message": str(error)}
        except Exception as error:
            self.log.exception("The trigger failed")
            event = {"status": WaitStatus.ERROR, "message": f"the trigger failed: {error!r}"}
        yield TriggerEvent({**event, "status": str(event["status"])})  # type: ignore[no-untyped-call]

    async def _wait(self) -> dict[str, Any]:
        from airflow_pixverse.api.models import accounts_with_room

        try:
            slots, emails = parse_slots(self.slots), parse_emails(self.emails)
        except ValueError as error:
            raise PixverseFatalError(str(error)) from None
        poller = ConnectionPoller(self.pixverse_conn_id)
        last_error: PixverseTransientError | None = None
        await asyncio.sleep(min(_until(self.first_poll_at) or 0.0, self._remaining()))
        while True:
            retry_after = 0.0
            try:
                accounts = accounts_with_room(await poller.get_capacity(), slots, emails)
            except PixverseTransientError as error:
                self.log.warning("Still waiting: %s", error)
                accounts, last_error, retry_after = [], error, error.retry_after or 0.0
            if accounts:
                return {"status": WaitStatus.SUCCESS, "accounts": [account.to_xcom() for account in accounts]}
            if not self._remaining():
                trouble = f"; last API error: {last_error}" if last_error else ""
                return {
                    "status": WaitStatus.TIMEOUT,
                    "message": f"no {slots} free slots before timeout{trouble}",
                }
            await asyncio.sleep(min(max(self._interval(), retry_after), self._remaining()))

    def _remaining(self) -> float:
        remaining = _until(self.timeout_at)
        return math.inf if remaining is None else remaining

    def _interval(self) -> float:
        interval = self.poke_interval
        if self.exponential_backoff and self.waiting_since is not None:
            interval += max(
                0.0, time.time() - self.waiting_since
            )  # after 1 + 2 + 4 + ... the next is as long
            interval = min(interval, self.max_wait or math.inf)
        return max(_SHORTEST_INTERVAL, interval)


def _until(moment: float | None) -> float | None:
    """Return the seconds from now until a moment in seconds since the epoch; None for no moment."""
    return None if moment is None else max(0.0, moment - time.time())
