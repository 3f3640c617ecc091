"""SubmitFlow: the way of a submit task from a worker's start to the end of the task or its next deferral."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from airflow_pixverse.api.credits import AccountCredits
from airflow_pixverse.api.errors import PixverseError, PixverseFatalError
from airflow_pixverse.gate.awaited_job import AwaitedJob
from airflow_pixverse.gate.lease_update import LeaseUpdate
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.journal import NoJournal, SubmitHistory, TaskTry, journal_of
from airflow_pixverse.reports.xcoms import JOB_IDS_KEY
from airflow_pixverse.submission.acceptance import Acceptance
from airflow_pixverse.submission.delivery import Delivery
from airflow_pixverse.submission.errors import UnsettledError
from airflow_pixverse.submission.triggerer_waits import TriggererWaits
from airflow_pixverse.submission.wait_protocol import Admission
from airflow_pixverse.submission.worker_waits import WorkerWaits
from airflow_pixverse.threads import start_in_own_thread
from airflow_pixverse.waits.deadlines import Deadlines
from airflow_pixverse.waits.events import EVENT_CREDITS, WaitStatus, portable
from airflow_pixverse.waits.job_poller import ResultUnavailableError, fetch_results
from airflow_pixverse.waits.submit_state import SubmitState

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.submission.task import SubmitTask
    from airflow_pixverse.submission.wait_protocol import Waits

# How long Airflow may take to answer while a task is being killed, in seconds.
_KILL_PATIENCE = 10.0


class SubmitFlow:
    """
    One part of a try: submit or resume, wait, deliver.

    :param task: the operator.
    :param context: its context.
    :param state: the state that a trigger's event brings back. None if no wait comes before.
    :param is_deferrable: whether waits are in the triggerer.
    """

    def __init__(
        self, task: SubmitTask, context: Context, state: SubmitState | None = None, *, is_deferrable: bool
    ) -> None:
        self._task = task
        self._context = context
        self._log = task.log
        self._is_deferrable = is_deferrable
        self.state = state or SubmitState.new(context["ti"].try_number)
        """The state of the task by now, also if it ends without a result."""
        self._journal = journal_of(context) if task.durable else NoJournal()
        self._delivery = Delivery(task, context, self._journal)

    def begin(self) -> Any:
        """Submit, or pick up the job of an earlier try, where a try begins; return the value of the task."""
        if self._is_deferrable and self._task.wait_for_capacity:  # so a later part reads before it submits
            self._journal.begin_try()
        with self._outcome():
            return self._submit_and_wait()

    def resume(self, event: dict[str, Any] | None) -> Any:
        """Go on after the event of a trigger; return the value of the task."""
        with self._outcome():
            if _found_no_slot(event) and self._read_history().to_pick_up:
                return self._submit_and_wait()
            match event:
                case {
                    "status": WaitStatus.SUCCESS,
                    "accounts": list(accounts),
                    "ticket": {"reference": random_part, "lease": lease, **rest},
                }:
                    # Airflow begins the trigger's log again at the next wait, and this one is gone then.
                    waited = max(0.0, time.time() - self.state.waiting_since)
                    ahead = cast("list[str] | None", rest.get("ahead"))
                    which = "a slot" if ahead is None else "the next slot"
                    self._log.info("Got %s after %.0f s", which, waited)
                    admission = Admission(
                        accounts,
                        random_part,
                        is_leased=lease > 0,
                        ahead=ahead,
                        awaited=AwaitedJob.from_json(rest.get("awaited")),
                        credits=_credits_of(event),
                    )
                    return self._submit_and_wait(admission)
                case {"status": WaitStatus.FINISHED, "results": list(jobs)}:
                    results = self._fetch_results(jobs)
                    return self._delivery.deliver(results, self.state, _credits_of(event))
                case _ if self.state.failure:
                    raise (AirflowException if self.state.may_retry else AirflowFailException)(
                        self.state.failure
                    )
                case {"status": WaitStatus.RELEASED} if self.state.value is not None:
                    return self.state.value
                case {"status": WaitStatus.EXECUTION_TIMEOUT, "message": message}:
                    raise AirflowTaskTimeout(message)
                case {"status": WaitStatus.TIMEOUT, "message": message}:
                    limit = "completion_timeout" if self.state.job_ids else "capacity_timeout"
                    raise AirflowException(f"{limit}: {message}" + self._retry_hint(self.state.job_ids))
                case {"status": WaitStatus.FATAL | WaitStatus.ERROR, "message": message}:
                    raise AirflowException(message + self._retry_hint(self.state.job_ids))
            raise AirflowException(f"the trigger sent an event that this version does not know: {event!r}")

    def has_time_left(self) -> bool:
        """Return whether a wait that Airflow has ended, which defers for a year at most, has time left."""
        timing, started = self._task.timing, self._context["ti"].start_date
        is_accepted = self._read_history().accepted is not None
        timeout = timing.completion_timeout if is_accepted else timing.capacity_timeout
        since = started.timestamp()
        end, _ = Deadlines.of_task(self._task, started, since=since, timeout=timeout).first
        return end > time.time()

    def wait_on(self) -> Any:
        """Go on with a wait that Airflow has ended; return the value of the task."""
        started = self._context["ti"].start_date.timestamp()
        self.state = dataclasses.replace(self.state, waiting_since=started)
        with self._outcome():
            return self._submit_and_wait()

    def cancel_unless_retried(self) -> None:
        """Cancel the jobs of a task that is killed, if no retry picks them up."""
        job_ids = self.state.job_ids
        if not job_ids:
            return
        if not self._ask_airflow(self._journal.ends_for_good):
            self._log.info("A retry picks up %s, so it is not cancelled", ", ".join(job_ids))
            return
        for job_id in job_ids:
            try:
                was_executing = self._task.hook.cancel(job_id)
            except PixverseError as error:
                self._log.warning("Could not cancel job %s: %s", job_id, error)
                continue
            if was_executing:
                self._log.info(
                    "Job %s is cancelled: its slot is free, and PixVerse may go on with it", job_id
                )
                self._ask_airflow(partial(self._journal.write_end, [job_id], "cancelled"))

    def _submit_and_wait(self, admission: Admission | None = None) -> Any:
        """Submit, unless an earlier try has, and wait for the result."""
        is_first_part = admission is None or not self.state.try_number
        with self._giving_back(admission):
            self._check_connection()
            acceptance = Acceptance(self._task, self._context, self._journal, self._waits)
            record, update, state = acceptance.accepted(self.state, admission, check_output=is_first_part)
        self._delivery.push(JOB_IDS_KEY, list(record.job_ids))
        state = self.state = dataclasses.replace(
            state,
            job_ids=record.job_ids,
            waiting_since=time.time(),
            cost_credits=record.cost_credits,
            credits_before=record.credits_before,
        )
        if not self._task.wait_for_completion:
            self._delivery.report_cost(state)
            value = {
                "id": record.job_ids[0],
                "job_ids": list(record.job_ids),
                "email": record.email,
                "seed": record.seed,
                "replyRef": record.reference,
                "cost_credits": record.cost_credits,
            }
            self._waits(None).give_back(dataclasses.replace(state, value=value), update)
            return value
        try:
            results = self._waits(None).for_results(state, update)
        except AirflowException as error:
            raise AirflowException(f"{error}{self._retry_hint(state.job_ids)}") from error
        return self._delivery.deliver(results, state)

    @contextmanager
    def _giving_back(self, admission: Admission | None) -> Iterator[None]:
        """
        Let the gate know first if the task fails without a job, so that another task gets the slot.

        In the triggerer the task then ends with the same error, once it is resumed.
        """
        try:
            yield
        except (AirflowSkipException, UnsettledError):  # the latter's job may be there
            raise
        except Exception as error:
            if update := admission and admission.lease_update(LeaseUpdate.RELEASED):
                is_own = isinstance(error, (PixverseError, AirflowException)) and str(error)
                message = portable(str(error) if is_own else f"{type(error).__name__}: {error}")
                self._log.error("Giving the slot back: %s", message, exc_info=not is_own)
                may_retry = not isinstance(error, (PixverseFatalError, AirflowFailException))
                state = dataclasses.replace(self.state, failure=message, may_retry=may_retry)
                self._waits(None).give_back(state, update)
            raise

    def _fetch_results(self, jobs: list[dict[str, Any]]) -> list[JobResult]:
        """Return the results that the trigger has seen, or go on waiting for them."""
        try:
            return fetch_results(PixverseHook(self._task.pixverse_conn_id), jobs)
        except PixverseFatalError as error:
            raise AirflowException(f"{error}{self._retry_hint(self.state.job_ids)}") from error
        except ResultUnavailableError as error:
            if time.time() >= self._task.timing.completion_ends(self.state):
                text = f"no result within completion_timeout: {error}"
                raise AirflowException(f"{text}{self._retry_hint(self.state.job_ids)}") from error
            self._log.warning("Still waiting: %s", error)
            pause = max(error.pause, self._task.timing.poke_interval)
            return self._waits(None).for_results(self.state, pause=pause)

    def _waits(self, emails: Sequence[str] | None) -> Waits:
        if self._is_deferrable:
            return TriggererWaits(self._task, self._context["ti"].start_date, emails)
        return WorkerWaits(self._task, emails)

    def _read_history(self) -> SubmitHistory:
        task_try = TaskTry.of(self._context)
        return SubmitHistory.of(self._journal.read_all(), task_try, self._task.on_clear)

    def _check_connection(self) -> None:
        """Raise an error of the connection. It ends no wait for a job that is paid for."""
        try:
            self._task.check_is_rendered("pixverse_conn_id")
            self._task.hook.get_conn()
        except Exception as error:
            if records := self._read_history().to_pick_up:
                raise AirflowException(f"{error}{self._retry_hint(records[0].job_ids)}") from error
            raise

    def _retry_hint(self, job_ids: Sequence[str]) -> str:
        if not (job_ids and self._task.durable):
            return ""
        return f". A retry goes on waiting for {', '.join(job_ids)}, which is not paid for again"

    @contextmanager
    def _outcome(self) -> Iterator[None]:
        """Turn permanent errors into AirflowFailException, and push the XCom "failure"."""
        try:
            yield
        except AirflowSkipException:
            raise
        except (Exception, AirflowTaskTimeout) as error:  # which is no Exception
            self._delivery.push_failure(error, self.state, self._read_history)
            if isinstance(error, (PixverseFatalError, UnsettledError)):
                raise AirflowFailException(str(error)) from error
            raise

    def _ask_airflow(self, call: Callable[[], Any]) -> Any:
        """
        Return the answer to a call to Airflow while the task is being killed. None if there is none in time.

        The signal may have interrupted another call, and Airflow's supervisor takes one at a time.
        """
        try:
            return start_in_own_thread(call, name="airflow-pixverse on_kill").result(_KILL_PATIENCE)
        except TimeoutError:
            self._log.warning("Airflow does not answer within %g s", _KILL_PATIENCE)
            return None


def _credits_of(event: dict[str, Any] | None) -> AccountCredits | None:
    """Return the credits that the triggerer has read. None if it was not asked, so that the worker asks."""
    return AccountCredits.from_json((event or {}).get(EVENT_CREDITS))


def _found_no_slot(event: dict[str, Any] | None) -> bool:
    """
    Return whether a wait for a slot that began in the trigger has ended without one.

    The triggerer does not know what an earlier try has submitted.
    """
    ends = {WaitStatus.TIMEOUT, WaitStatus.FATAL, WaitStatus.ERROR}
    return event is not None and "state" not in event and event.get("status") in ends
