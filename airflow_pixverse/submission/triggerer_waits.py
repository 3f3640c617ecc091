"""TriggererWaits: the waits of a deferrable task, at the gate, which keeps a slot for it in between."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_pixverse.capabilities import PUSHES_FROM_TRIGGERER
from airflow_pixverse.journal import drop_records
from airflow_pixverse.parameters import as_json_list, holds_reference
from airflow_pixverse.waits.deadlines import LONGEST_DEFERRAL
from airflow_pixverse.waits.deferral import (
    defer_wait,
    reason_to_begin_on_worker,
    start_trigger_args,
)
from airflow_pixverse.waits.ends_in_triggerer import first_reason, reasons_to_end_on_worker
from airflow_pixverse.waits.parameters import JobParameters, TriggerParameters, WaitParameters

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.triggers.base import StartTriggerArgs

    from airflow_pixverse.submission.task import SubmitTask
    from airflow_pixverse.submission.wait_protocol import SlotUpdate
    from airflow_pixverse.waits.submit_state import SubmitState


class TriggererWaits:
    """
    Defers the task, which resumes in ``execute_complete``.

    :param task: the task.
    :param started: when this try of it began.
    :param emails: the accounts that may have a slot; None for all accounts.
    """

    def __init__(self, task: SubmitTask, started: datetime, emails: Sequence[str] | None) -> None:
        self._task = task
        self._started = started
        self._emails = emails

    def for_capacity(
        self, state: SubmitState, update: SlotUpdate = None, retry_after: float | None = None
    ) -> NoReturn:
        """Defer until there is a free slot."""
        from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger

        first_poll_at = time.time() + state.pause(retry_after) if state.not_accepted else None
        emails = None if self._emails is None else list(self._emails)
        parameters = _slot_parameters(
            self._task, emails, **_travelling(state, update), first_poll_at=first_poll_at
        )
        defer_wait(self._task, PixverseCapacityTrigger, parameters, self._started)

    def for_results(self, state: SubmitState, update: SlotUpdate = None, pause: float = 0.0) -> NoReturn:
        """Defer until the jobs are finished."""
        from airflow_pixverse.triggers.job import PixverseJobTrigger

        parameters = JobParameters(
            pixverse_conn_id=self._task.pixverse_conn_id,
            poke_interval=self._task.timing.poke_interval,
            timeout=self._task.timing.completion_timeout,
            job_ids=list(state.job_ids),
            first_poll_at=time.time() + pause if pause else None,
            end_from_trigger=self._ends_in_triggerer(),
            do_xcom_push=self._task.do_xcom_push,
            endpoint=self._task.endpoint,
            report_credits=self._task.report_credits,
            **_travelling(state, update),
        )
        defer_wait(self._task, PixverseJobTrigger, parameters, self._started)

    def _ends_in_triggerer(self) -> bool:
        """Return whether the triggerer ends the task, if that is asked for; log why not."""
        if not self._task.end_from_trigger:
            return False
        if reason := reason_to_end_on_worker(self._task):
            self._task.log.info("The task ends on a worker: %s", reason)
        return reason is None

    def give_back(self, state: SubmitState, update: SlotUpdate) -> None:
        """Defer until the gate knows, if it keeps a slot."""
        from airflow_pixverse.triggers.release import PixverseReleaseTrigger

        if update is None:
            return
        parameters = TriggerParameters(
            pixverse_conn_id=self._task.pixverse_conn_id, **_travelling(state, update)
        )
        self._task.defer(
            trigger=PixverseReleaseTrigger(**parameters.to_kwargs()),
            method_name="execute_complete",
            # Without a triggerer nothing that waits goes on, and Airflow would end this without its state.
            timeout=timedelta(seconds=LONGEST_DEFERRAL),
        )


def reason_to_end_on_worker(task: SubmitTask) -> str | None:
    """Return the reason why the triggerer cannot end a task whose jobs are completed; None if it can."""
    reasons = {
        "Airflow before 3.3 pushes no XComs of such a task": not PUSHES_FROM_TRIGGERER,
        "it stores the result": task.stores_results,
        **reasons_to_end_on_worker(task, ignored_callbacks=[drop_records]),
        "only a worker splits what it returns (multiple_outputs)": getattr(task, "multiple_outputs", False),
        "only a worker reads the credits of the account (report_credits)": task.report_credits,
        'only a worker drops the journal, which on_clear="resume" needs': task.durable
        and task.on_clear == "resume",
    }
    return first_reason(reasons)


def _travelling(state: SubmitState, update: SlotUpdate) -> dict[str, Any]:
    return {"waiting_since": state.waiting_since, "state": state.to_json(), "lease_update": update}


def begin_without_worker(task: SubmitTask, dag: Any) -> StartTriggerArgs | str:
    """
    Return how the first wait for a slot begins in the triggerer, or why it begins on a worker.

    :param dag: the DAG of the task. None if unknown.
    """
    payload = task.payload
    is_known = isinstance(payload, dict) and not holds_reference(payload.get("email"))
    emails = task.emails or (payload.get("email") if is_known else None)
    if not task.wait_for_capacity:
        return "it does not wait for a slot"
    if task.remembers_payload or not (task.emails or is_known):
        return "the payload, which may name an account, is not known yet"
    if reason := reason_to_begin_on_worker([task.pixverse_conn_id, emails], dag):
        return reason
    limit = task.execution_timeout.total_seconds() if task.execution_timeout else None
    return start_trigger_args(_slot_parameters(task, as_json_list(emails), execution_timeout=limit))


def reason_of_mapped_payloads(payloads: Any) -> str | None:
    """
    Return the reason why tasks that are mapped over payloads, and over no accounts, begin on a worker.

    None if no payload names an account.

    :param payloads: a list of them, or what stands for one that another task returns.
    """
    if not isinstance(payloads, (list, tuple)) or not all(isinstance(one, Mapping) for one in payloads):
        return "the mapped payloads, which may name accounts, are not known yet"
    return "mapped payloads name accounts" if any("email" in one for one in payloads) else None


def _slot_parameters(task: SubmitTask, emails: Any, **of_this_wait: Any) -> WaitParameters:
    """Return the parameters of a wait for the slot of one submit; the accounts may be a template."""
    return WaitParameters(
        pixverse_conn_id=task.pixverse_conn_id,
        poke_interval=task.timing.poke_interval,
        timeout=task.timing.capacity_timeout,
        emails=emails,
        lease=task.timing.lease,
        ticket=True,
        priority_weight=task.priority_weight,
        report_credits=task.report_credits,
        **of_this_wait,
    )
