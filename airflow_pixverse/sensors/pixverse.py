"""PixverseCapacitySensor: wait until PixVerse accounts have free slots."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import PokeReturnValue, conf

from airflow_pixverse.capacity_watch import CapacityWatch
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.parameters import (
    as_json_list,
    check_at_parse,
    parse_emails,
    parse_flag,
    parse_optional_seconds,
    parse_slots,
    templates,
)
from airflow_pixverse.sensors.base import PixverseSensor
from airflow_pixverse.start_from_trigger import reason_to_begin_on_worker, start_trigger_args
from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger
from airflow_pixverse.triggers.wait_event import WaitStatus
from airflow_pixverse.wait_parameters import WaitParameters

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class PixverseCapacitySensor(PixverseSensor):
    """
    Wait until the chosen PixVerse accounts together have free slots.

    Use it before a task that submits a job, which PixVerse refuses while all slots are taken. In every mode a
    wait ends the same way: transient trouble of the API (429, 5xx, network) never ends it before ``timeout``,
    a fatal error (bad token, connection that cannot be used) fails it at once and without retry. The README
    has the whole table.

    XCom: the chosen accounts that have free slots, most free first: a list of objects with ``email``,
    ``maxJobs``, ``executing``, ``available`` and whatever else the API sends.

    Source: "Retrieve the list of videos currently running via the API along with the available account
    capacity" (``GET scheduler/available``).

    :param pixverse_conn_id: id of the connection that holds the API token (templated).
    :param slots: free slots to wait for, over all chosen accounts together (templated).
    :param emails: the accounts to look at, one string or a list; None for all. Case does not matter
        (templated).
    :param deferrable: wait in the triggerer instead of a worker.
    :param start_from_trigger: let the wait begin in the triggerer, without a worker. Implies ``deferrable``.
        On Airflow 2.11 and from 3.3 on, for tasks that are not mapped and need no rendering that only a
        worker can do; otherwise the wait begins on a worker, and the log says why.
    :param end_from_trigger: let the triggerer end the task if slots are free; every other end is left to a
        worker. Implies ``deferrable``. A task with ``outlets`` ends on a worker, which sends their events.
    :param lease: deferrable only: seconds (or a timedelta) for which a slot given to this wait is kept from
        the next one, unless its job shows up earlier; 0 for none, None for the default.
    :param kwargs: ``poke_interval``, ``timeout``, ``soft_fail``, ``mode``, ... of Airflow's sensors.
    :raises ValueError: a parameter cannot be used; the message names it.
    """

    template_fields: Sequence[str] = ("pixverse_conn_id", "slots", "emails")
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        pixverse_conn_id: str = PixverseHook.default_conn_name,
        slots: int | str = 1,
        emails: str | Iterable[str] | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        start_from_trigger: bool = False,
        end_from_trigger: bool = False,
        lease: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        start_from_trigger = parse_flag(start_from_trigger, "start_from_trigger")
        end_from_trigger = parse_flag(end_from_trigger, "end_from_trigger")
        deferrable = deferrable or start_from_trigger or end_from_trigger
        super().__init__(pixverse_conn_id=pixverse_conn_id, deferrable=deferrable, **kwargs)
        self.slots = slots
        self.emails = as_json_list(emails)
        # Asset events are only sent by a worker.
        self.end_from_trigger = end_from_trigger and not self.outlets
        self.lease = parse_optional_seconds(lease, "lease")
        check_at_parse(self, parse_slots, slots)
        check_at_parse(self, parse_emails, self.emails)
        self._asked_to_start_from_trigger = start_from_trigger
        self._reason_to_begin_on_worker: str | None = None
        if start_from_trigger:
            fields = [getattr(self, name) for name in self.template_fields]
            dag = self.dag if self.has_dag() else None  # type: ignore[no-untyped-call]
            self._reason_to_begin_on_worker = reason_to_begin_on_worker(fields, dag)
            if self._reason_to_begin_on_worker is None:
                self._begin_in_trigger()

    def _wait_in_triggerer(self, context: Context) -> Any:
        if self._asked_to_start_from_trigger:
            reason = self._reason_to_begin_on_worker or "it is mapped, or run by dag.test()"
            self.log.info("The wait begins on a worker: %s", reason)
        first_poll_at = None
        # A look of its own finds slots that are leased to others, so it looks only without a lease.
        if self.lease == 0:
            if isinstance(result := self.poke(context), PokeReturnValue):
                return result.xcom_value
            first_poll_at = time.time() + max(self.poke_interval, self._retry_after)
        kwargs = self._trigger_kwargs() | {
            "slots": parse_slots(self.slots),
            "emails": parse_emails(self.emails),
            "first_poll_at": first_poll_at,
        }
        self._defer(PixverseCapacityTrigger, kwargs, context)
        return None

    @cached_property
    def _watch(self) -> CapacityWatch:
        return CapacityWatch(parse_slots(self.slots), parse_emails(self.emails), self.log)

    def _look(self) -> PokeReturnValue | bool:
        accounts = self._watch.look(self.hook)
        self._last_error = None
        return PokeReturnValue(is_done=True, xcom_value=accounts) if accounts else False

    def _check_rendered(self) -> None:
        super()._check_rendered()
        parse_slots(self.slots)
        parse_emails(self.emails)

    def _begin_in_trigger(self) -> None:
        # Here and not on the class, where a mapped task would take the values for its own.
        self.start_from_trigger = True
        self.start_trigger_args = start_trigger_args(self._trigger_kwargs())

    def _trigger_kwargs(self) -> dict[str, Any]:
        """Return the parameters of a trigger that the wait begins in; templates are not rendered yet."""
        parameters = WaitParameters(
            **self._limits(),
            exponential_backoff=bool(self.exponential_backoff),
            max_wait=self.max_wait.total_seconds() if self.max_wait else None,
            lease=self.lease,
            end_from_trigger=self.end_from_trigger,
            do_xcom_push=bool(self.do_xcom_push),
        )
        return parameters.to_kwargs() | {
            "pixverse_conn_id": self.pixverse_conn_id,
            "slots": self.slots if templates(self.slots) else parse_slots(self.slots),
            "emails": self.emails,
        }

    def _complete(self, event: dict[str, Any] | None) -> Any:
        match event:
            case {"status": WaitStatus.SUCCESS, "accounts": list(accounts)}:
                self.log.info(
                    "Free slots: %s", {account.get("email"): account.get("available") for account in accounts}
                )
                return accounts
        return super()._complete(event)

    def _unfinished(self) -> str:
        return "not enough free slots"
