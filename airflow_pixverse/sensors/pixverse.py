"""PixverseCapacitySensor: wait until PixVerse accounts have free slots."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)
from airflow.triggers.base import StartTriggerArgs

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.capabilities import is_deferral_timeout
from airflow_pixverse.deadlines import Deadlines, Limit
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.parameters import (
    as_json_list,
    check_at_parse,
    parse_conn_id,
    parse_emails,
    parse_optional_seconds,
    parse_slots,
    templates,
)
from airflow_pixverse.sensors.outcome import outcome_of
from airflow_pixverse.sensors.start_from_trigger import reason_to_begin_on_worker
from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger
from airflow_pixverse.triggers.wait_event import WaitStatus
from airflow_pixverse.wait_parameters import WaitParameters

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class PixverseCapacitySensor(BaseSensorOperator):
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
        super().__init__(**kwargs)
        self.pixverse_conn_id = pixverse_conn_id
        self.slots = slots
        self.emails = as_json_list(emails)
        self.deferrable = deferrable or start_from_trigger or end_from_trigger
        # Asset events are only sent by a worker.
        self.end_from_trigger = end_from_trigger and not self.outlets
        self.lease = parse_optional_seconds(lease, "lease")
        check_at_parse(self, parse_conn_id, pixverse_conn_id)
        check_at_parse(self, parse_slots, slots)
        check_at_parse(self, parse_emails, self.emails)
        self._last_error: PixverseTransientError | None = None
        self._retry_after = 0.0
        self._warned: set[str] = set()
        self._asked_to_start_from_trigger = start_from_trigger
        self._reason_to_begin_on_worker: str | None = None
        if start_from_trigger:
            fields = [getattr(self, name) for name in self.template_fields]
            dag = self.dag if self.has_dag() else None  # type: ignore[no-untyped-call]
            self._reason_to_begin_on_worker = reason_to_begin_on_worker(fields, dag)
            if self._reason_to_begin_on_worker is None:
                self._begin_in_trigger()

    @cached_property
    def hook(self) -> PixverseHook:
        """The hook of this task. It does not retry: the next poke does."""
        return PixverseHook(self.pixverse_conn_id, max_retries=0)

    def execute(self, context: Context) -> Any:
        """Wait, or defer the wait to the triggerer."""
        with self._outcome():
            self._check_rendered()
            if not self.deferrable:
                return super().execute(context)
            if self._asked_to_start_from_trigger:
                reason = self._reason_to_begin_on_worker or "it is mapped, or run by dag.test()"
                self.log.info("The wait begins on a worker: %s", reason)
            first_poll_at = None
            # A look of its own finds slots that are leased to others, so it looks only without a lease.
            if self.lease == 0:
                if isinstance(result := self.poke(context), PokeReturnValue):
                    return result.xcom_value
                first_poll_at = time.time() + max(self.poke_interval, self._retry_after)
            self._defer(context, first_poll_at)
            return None

    def poke(self, context: Context) -> PokeReturnValue | bool:  # noqa: ARG002
        """
        Look once.

        :raises PixverseFatalError: asking again will not help.
        """
        from airflow_pixverse.api.models import accounts_with_room
        from airflow_pixverse.api.room import describe_room, obstacles

        self._last_error, self._retry_after = None, 0.0
        try:
            capacity = self.hook.get_capacity()
        except PixverseTransientError as error:
            self._last_error, self._retry_after = error, error.retry_after or 0.0
            self.log.warning("Still waiting: %s", error)
            return False
        except PixverseFatalError:
            self.silent_fail = False  # which is for trouble that may pass
            raise
        slots, emails = parse_slots(self.slots), parse_emails(self.emails)
        accounts = accounts_with_room(capacity, slots, emails)
        self.log.info("%s", describe_room(capacity, slots, emails))
        for obstacle in obstacles(capacity, slots, emails):
            if obstacle not in self._warned:
                self.log.warning("%s", obstacle)
                self._warned.add(obstacle)
        if not accounts:
            return False
        return PokeReturnValue(is_done=True, xcom_value=[account.to_xcom() for account in accounts])

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """Wait for as long as the server asks (``Retry-After``), but not beyond ``timeout``."""
        interval: float = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        return max(interval, min(self._retry_after, self.timeout - run_duration()))

    def _check_rendered(self) -> None:
        try:
            parse_conn_id(self.pixverse_conn_id)
            parse_slots(self.slots)
            parse_emails(self.emails)
        except ValueError as error:
            raise PixverseFatalError(str(error)) from None

    def _defer(self, context: Context, first_poll_at: float | None) -> None:
        now = time.time()
        execution_timeout = None
        if self.execution_timeout:
            passed = now - context["ti"].start_date.timestamp()
            execution_timeout = max(0.0, self.execution_timeout.total_seconds() - passed)
        kwargs = self._trigger_kwargs() | {
            "slots": parse_slots(self.slots),
            "emails": parse_emails(self.emails),
            "execution_timeout": execution_timeout,
            "waiting_since": now,
            "first_poll_at": first_poll_at,
        }
        seconds = Deadlines(now, self.timeout, execution_timeout).deferral_seconds
        self.defer(
            trigger=PixverseCapacityTrigger(**kwargs),
            method_name="execute_complete",
            timeout=timedelta(seconds=seconds),
        )

    def _begin_in_trigger(self) -> None:
        kwargs = self._trigger_kwargs()
        deadlines = Deadlines(0.0, kwargs["timeout"], kwargs["execution_timeout"])
        # Here and not on the class, where a mapped task would take the values for its own.
        self.start_from_trigger = True
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=PixverseCapacityTrigger.__module__ + ".PixverseCapacityTrigger",
            trigger_kwargs=kwargs,
            next_method="execute_complete",
            timeout=timedelta(seconds=deadlines.deferral_seconds),
        )

    def _trigger_kwargs(self) -> dict[str, Any]:
        """Return the parameters of a trigger that the wait begins in; templates are not rendered yet."""
        parameters = WaitParameters(
            poke_interval=self.poke_interval,
            exponential_backoff=bool(self.exponential_backoff),
            max_wait=self.max_wait.total_seconds() if self.max_wait else None,
            timeout=self.timeout,
            execution_timeout=self.execution_timeout.total_seconds() if self.execution_timeout else None,
            lease=self.lease,
            end_from_trigger=self.end_from_trigger,
            do_xcom_push=bool(self.do_xcom_push),
        )
        return parameters.to_kwargs() | {
            "pixverse_conn_id": self.pixverse_conn_id,
            "slots": self.slots if templates(self.slots) else parse_slots(self.slots),
            "emails": self.emails,
        }

    def execute_complete(
        self,
        context: Context,  # noqa: ARG002
        event: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Turn what the trigger found into the outcome; an event it does not know is a failure."""
        match event:
            case {"status": WaitStatus.SUCCESS, "accounts": list(accounts)}:
                self.log.info(
                    "Free slots: %s", {account.get("email"): account.get("available") for account in accounts}
                )
                return accounts
            case {"status": WaitStatus.TIMEOUT, "message": message}:
                raise AirflowSensorTimeout(message)
            case {"status": WaitStatus.EXECUTION_TIMEOUT, "message": message}:
                raise AirflowTaskTimeout(message)
            case {"status": WaitStatus.FATAL, "message": message}:
                raise PixverseFatalError(message)
            case {"status": WaitStatus.ERROR, "message": message}:
                raise AirflowException(message)
        raise AirflowException(f"the trigger sent an event that this version does not know: {event!r}")

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume after the deferral.

        This steps over ``BaseSensorOperator``, which skips under ``soft_fail`` whatever went wrong.
        """
        with self._outcome():
            try:
                return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
            except AirflowException as error:
                if not is_deferral_timeout(error):
                    raise
                # Airflow itself ended the wait: the triggerer was down when the deadline passed.
                raise self._deadline_error(context["ti"].start_date) from error

    def _deadline_error(self, started: datetime) -> BaseException:
        execution_timeout = self.execution_timeout.total_seconds() if self.execution_timeout else None
        _, limit = Deadlines(started.timestamp(), self.timeout, execution_timeout).first
        if limit is Limit.EXECUTION_TIMEOUT:
            return AirflowTaskTimeout(f"execution_timeout of {self.execution_timeout} has passed")
        return AirflowSensorTimeout(f"not enough free slots within timeout={self.timeout:g} s")

    def on_kill(self) -> None:
        """Skip under ``never_fail`` where Airflow 2.11 ends an expired deferral without resuming it."""
        if self.never_fail and isinstance(error := sys.exception(), AirflowTaskTimeout):
            raise AirflowSkipException("execution_timeout has passed, and never_fail is set") from error

    @contextmanager
    def _outcome(self) -> Iterator[None]:
        """Make every mode on every Airflow end as the table of outcomes in the README says."""
        try:
            yield
        except (Exception, AirflowTaskTimeout) as error:  # which is no Exception on Airflow 2
            trouble = f" (last API error: {self._last_error})" if self._last_error else ""
            if trouble and isinstance(error, AirflowSensorTimeout):
                error.args = (f"{error}{trouble}",)
            outcome = outcome_of(
                error, soft_fail=self.soft_fail, never_fail=self.never_fail, deferrable=self.deferrable
            )
            if isinstance(outcome, AirflowSkipException):
                self.log.warning("Skipping: %s", outcome.__cause__ or outcome)
            if outcome is error:
                raise
            # The error's own cause must not get the error for its cause: loggers would go round in circles.
            raise outcome from (None if outcome is error.__cause__ else error)
