"""
PixverseCapacitySensor: wait until PixVerse accounts have free slots.

PixverseJobSensor has a module of its own, which is imported once its name is asked for.
"""

import importlib
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import Context, PokeReturnValue, conf
from airflow.triggers.base import StartTriggerArgs

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
from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger
from airflow_pixverse.waits.begins_in_triggerer import BeginsInTriggerer
from airflow_pixverse.waits.deferral import (
    defer_wait,
    reason_to_begin_on_worker,
    start_trigger_args,
)
from airflow_pixverse.waits.ends_in_triggerer import first_reason, reasons_to_end_on_worker
from airflow_pixverse.waits.events import WaitStatus
from airflow_pixverse.waits.parameters import WaitParameters
from airflow_pixverse.waits.slot_poller import SlotPoller

if TYPE_CHECKING:
    from airflow_pixverse.sensors.job import PixverseJobSensor

__all__ = ["PixverseCapacitySensor", "PixverseJobSensor"]


def __getattr__(name: str) -> Any:
    if name == "PixverseJobSensor":
        return importlib.import_module("airflow_pixverse.sensors.job").PixverseJobSensor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class PixverseCapacitySensor(BeginsInTriggerer, PixverseSensor):
    """
    Wait until the chosen PixVerse accounts together have free slots.

    Use it before a task that submits a job, which PixVerse refuses while all slots are taken. In every mode a
    wait ends the same way. Transient errors of the API (429, 5xx, network) never end it before ``timeout``. A
    permanent error (bad token, unusable connection) fails it without retry: at once, or, deferred with a
    ``lease``, after the error has lasted for a minute. ``docs/explanation/how-a-wait-ends.md`` has the whole
    table.

    XCom: the chosen accounts that have free slots, most free first: a list of objects with ``email``,
    ``maxJobs``, ``executing``, ``available`` and whatever else the API sends.

    Source: "Retrieve the list of videos currently running via the API along with the available account
    capacity" (``GET scheduler/available``).

    :param pixverse_conn_id: id of the connection that holds the API token (templated).
    :param slots: free slots to wait for, over all chosen accounts together (templated).
    :param emails: the accounts that count, one string or a list; None for all accounts. Case does not
        matter (templated).
    :param deferrable: wait in the triggerer instead of a worker.
    :param start_from_trigger: begin the wait in the triggerer, without a worker. Implies ``deferrable``.
        Possible on Airflow 2.11, and from 3.3 on. If a template or mapping prevents it, the wait begins on a
        worker, and the log says why.
    :param end_from_trigger: let the triggerer end the task if slots are free; a worker handles every other
        end. Implies ``deferrable``. A task with ``outlets``, ``post_execute`` or, on Airflow 3, success
        callbacks ends on a worker, which alone sends and calls those.
    :param lease: deferrable only: seconds (or a timedelta) for which the gate keeps a granted slot from the
        next wait, unless its job shows up earlier; 0 for none, None for 120.
    :param kwargs: ``poke_interval``, ``timeout``, ``soft_fail``, ``mode``, ... of Airflow's sensors.
    :raises ValueError: a parameter cannot be used; the message names it.
    """

    # Read by Airflow's registry of providers: a retry resumes the same wait.
    __supports_durable_execution = True

    template_fields: Sequence[str] = ("pixverse_conn_id", "slots", "emails")
    ui_color = "#e6f1f2"

    unused_by_first_wait: ClassVar[Mapping[str, Any]] = {"soft_fail": False, "never_fail": False}

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
        reasons = reasons_to_end_on_worker(self, begins_on_worker=not start_from_trigger)
        self._reason_to_end_on_worker = reason = first_reason(reasons) if end_from_trigger else None
        self.end_from_trigger = end_from_trigger and reason is None
        self.lease = parse_optional_seconds(lease, "lease")
        check_at_parse(self, parse_slots, slots)
        check_at_parse(self, parse_emails, self.emails)
        self._asked_to_start_from_trigger = start_from_trigger
        if start_from_trigger:
            self._begin_in_triggerer()

    def _first_wait(self, dag: Any) -> StartTriggerArgs | str:
        fields = [getattr(self, name) for name in self.template_fields]
        if reason := reason_to_begin_on_worker(fields, dag):
            return reason
        slots = self.slots if templates(self.slots) else parse_slots(self.slots)
        return start_trigger_args(self._parameters(slots=slots, emails=self.emails))

    def _wait_in_triggerer(self, context: Context) -> Any:
        if self._asked_to_start_from_trigger:
            reason = self._why_it_begins_on_worker() or "dag.test() runs it"
            self.log.info("The wait begins on a worker: %s", reason)
        if self._reason_to_end_on_worker:
            self.log.info("The task ends on a worker: %s", self._reason_to_end_on_worker)
        first_poll_at = None
        # The worker's own poll also finds slots that are leased to others, so it polls only without a lease.
        if self.lease == 0:
            if isinstance(result := self.poke(context), PokeReturnValue):
                return result.xcom_value
            first_poll_at = time.time() + max(self.poke_interval, self._retry_after)
        parameters = self._parameters(
            slots=parse_slots(self.slots), emails=parse_emails(self.emails), first_poll_at=first_poll_at
        )
        defer_wait(self, PixverseCapacityTrigger, parameters, context["ti"].start_date)
        return None

    @cached_property
    def _watch(self) -> SlotPoller:
        return SlotPoller(parse_slots(self.slots), parse_emails(self.emails), self.log)

    def _look(self) -> PokeReturnValue | bool:
        accounts = self._watch.look(self.hook)
        self._last_error = None
        return PokeReturnValue(is_done=True, xcom_value=accounts) if accounts else False

    def _check_rendered(self) -> None:
        super()._check_rendered()
        parse_slots(self.slots)
        parse_emails(self.emails)

    def _parameters(self, **of_this_wait: Any) -> WaitParameters:
        return WaitParameters(
            **self._common(),
            **of_this_wait,
            exponential_backoff=bool(self.exponential_backoff),
            max_wait=self.max_wait.total_seconds() if self.max_wait else None,
            lease=self.lease,
            priority_weight=self.priority_weight,
            end_from_trigger=self.end_from_trigger,
            do_xcom_push=bool(self.do_xcom_push),
        )

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
