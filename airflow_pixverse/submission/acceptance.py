"""Acceptance: from the request of a task to a job that PixVerse has accepted, once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from airflow_pixverse.api import reply_ref
from airflow_pixverse.api.credits import read_credits
from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseRateLimitError,
    PixverseTransientError,
    is_of_account,
)
from airflow_pixverse.api.kinds import takes_any_account
from airflow_pixverse.gate.lease_update import LeaseUpdate
from airflow_pixverse.journal import SubmitHistory, TaskTry
from airflow_pixverse.submission.adoption import Adoption
from airflow_pixverse.submission.errors import NotListedError, SlotUnusableError, UnsettledError
from airflow_pixverse.submission.last_look import reason_not_to_submit
from airflow_pixverse.submission.min_credits import account_above
from airflow_pixverse.submission.once import SubmitOnce
from airflow_pixverse.submission.request import task_prefix
from airflow_pixverse.submission.wait_protocol import Admission

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.credits import AccountCredits
    from airflow_pixverse.journal import NoJournal, SubmitJournal, SubmitRecord
    from airflow_pixverse.submission.request import SubmitRequest
    from airflow_pixverse.submission.task import SubmitTask
    from airflow_pixverse.submission.wait_protocol import SlotUpdate, Waits
    from airflow_pixverse.waits.submit_state import SubmitState


# A job that PixVerse has accepted, in this try or in an earlier one: its record, what to tell the gate of the
# slot that it keeps, and the state of the task by now.
Accepted = tuple["SubmitRecord", "SlotUpdate", "SubmitState"]


class Acceptance:
    """
    Picks up what an earlier try has submitted, or submits.

    The journal is read before anything else: nothing that a user wrote stands between a task and a job that
    is paid for.

    :param task: the operator.
    :param context: its context.
    :param journal: the journal of the task instance.
    :param waits_of: returns how to wait for a slot of some accounts; None for all accounts.
    """

    def __init__(
        self,
        task: SubmitTask,
        context: Context,
        journal: SubmitJournal | NoJournal,
        waits_of: Callable[[Sequence[str] | None], Waits],
    ) -> None:
        self._task = task
        self._context = context
        self._journal = journal
        self._waits_of = waits_of
        self._log = task.log
        self._try = TaskTry.of(context)
        item = task.mapped_item(self._try.map_index)
        self._once = SubmitOnce(task.hook.get_conn, journal, self._try, item=item)
        self._adoption = Adoption(task, self._try, self._once, item)

    def accepted(self, state: SubmitState, admission: Admission | None, *, check_output: bool) -> Accepted:
        """
        Return the accepted job of this task.

        :param admission: the end of a wait for a slot. None if there was none yet.
        :param check_output: whether to check first that the results can be stored.
        :raises PixverseFatalError: it is refused for good.
        :raises UnsettledError: it is unknown whether it is accepted.
        :raises Exception: any other error; a retry may help.
        """
        records = self._journal.read_all()
        self._write_again(records, state)
        history = SubmitHistory.of(records, self._try, self._task.on_clear, state.unrecorded)
        request = None
        if records_to_pick_up := history.to_pick_up:
            request = self._request_beside(records_to_pick_up[0], state)
            if record := self._adoption.adopt(history, request):
                state = self._with_payload(state, request)
                return record, admission and admission.lease_update(LeaseUpdate.RELEASED), state
        if history.may_be_paid_for:
            state = dataclasses.replace(state, is_resubmitted=True)
        request = request or self._task.make_request(self._context, state)
        state = self._with_payload(state, request)
        self._request = self._task.prepare_request(self._context, request, check_output=check_output)
        self._waits = self._waits_of(self._not_barred(state.barred) if state.barred else self._request.emails)
        return self._submit_until_accepted(state, admission, {record.reference for record in records})

    def _submit_until_accepted(
        self, state: SubmitState, admission: Admission | None, known_references: set[str]
    ) -> Accepted:
        if admission is None:
            admission = self._next_admission(state)
        while True:
            try:
                return self._submit(state, admission, known_references)
            except SlotUnusableError as error:
                self._log.warning("%s. Back to the queue", error)
                barred = (*state.barred, error.barred) if error.barred else state.barred
                state = dataclasses.replace(self._with_unrecorded(state.after_wait_in_vain()), barred=barred)
                waits = self._waits if error.emails is None else self._waits_of(error.emails)
                admission = waits.for_capacity(state, admission.lease_update(LeaseUpdate.RELEASED))
            except UnsettledError as error:
                if self._task.on_unknown == "fail" or state.is_resubmitted:
                    raise
                self._log.warning("%s. Submitting again, as on_unknown says", error)
                known_references.add(error.record.reference)
                state = state.after_loss()
                admission = self._next_admission(state, admission.lease_update(LeaseUpdate.RELEASED))
            except PixverseError as error:
                state, update = self._not_accepted(self._with_unrecorded(state), admission, error)
                self._log.warning("%s", error)
                admission = self._next_admission(state, update, getattr(error, "retry_after", None))

    @property
    def _client(self) -> PixverseClient:
        return self._task.hook.get_conn()

    def _submit(self, state: SubmitState, admission: Admission, known_references: set[str]) -> Accepted:
        looking_since = time.monotonic()
        reason = reason_not_to_submit(
            self._client,
            admission,
            self._account(admission),
            self._log,
            # The other accounts may be those that are too poor, or that have refused the job.
            is_bound=bool(self._request.emails is not None or self._min_credits is not None or state.barred),
        )
        if reason:
            raise SlotUnusableError(reason)
        looked = time.monotonic() - looking_since
        email, credits_before = self._account_and_credits(admission, state)
        prefix = self._request.reply_ref or task_prefix(self._try)
        reference = reply_ref.join(prefix, admission.random_part or reply_ref.new_random_part())
        try:
            record = self._once.submit(
                self._request,
                reference,
                email=email,
                known_references=known_references | self._once.unrecorded.keys() - {reference},
                is_resubmission=state.is_resubmitted,
                credits_before=credits_before,
            )
        except PixverseError as error:
            if not (email and is_of_account(error) and self._task.wait_for_capacity):
                raise
            if others := self._not_barred((*state.barred, email)):
                raise SlotUnusableError(str(error), others, barred=email) from error
            raise
        return record, admission.lease_update(LeaseUpdate.ACCEPTED, looked), state

    @property
    def _min_credits(self) -> int | None:
        return self._task.hook.min_credits if self._task.min_credits is None else self._task.min_credits

    def _account(self, admission: Admission) -> str | None:
        """Return the account that the slot is of. None if the service is to choose one."""
        names_any = self._min_credits is not None or takes_any_account(self._request.endpoint)
        if admission.random_part and names_any:
            return next(iter(admission.emails), None)
        return self._request.account(admission.accounts)

    def _account_and_credits(self, admission: Admission, state: SubmitState) -> tuple[str | None, int | None]:
        """
        Return the account to submit to, None to let the service choose, and its credits, if they are known.

        :raises SlotUnusableError: it has too few credits, and others have enough.
        :raises PixverseFatalError: none has enough.
        :raises PixverseTransientError: it is unknown whether one has.
        """
        email = self._account(admission)
        if (floor := self._min_credits) is None:
            return email, self._credits_to_report(email, admission.credits)
        # The gate has given a slot of one account, and those of the others to other tasks.
        with_slot = [email] if admission.random_part and email else admission.emails

        def chosen() -> Sequence[str | None]:
            return self._not_barred(state.barred) or [None]

        return account_above(floor, with_slot or chosen(), chosen, self._client)

    def _not_barred(self, barred: Sequence[str]) -> list[str]:
        """Return the accounts that may make the job, as far as they are known, but for those barred."""
        from airflow_pixverse.api.scheduler import email_key

        emails = self._request.emails or [one.email for one in self._client.get_accounts() if one.email]
        keys = set(map(email_key, barred))
        return [email for email in emails if email_key(email) not in keys]

    def _with_unrecorded(self, state: SubmitState) -> SubmitState:
        """Return the state with what the journal could not be told."""
        return dataclasses.replace(state, unrecorded=tuple(sorted(self._once.unrecorded)))

    def _credits_to_report(self, email: str | None, known: AccountCredits | None) -> int | None:
        """Return the credits of the account, as the triggerer has read them or as they are now."""
        if not self._task.report_credits:
            return None
        if known is not None and known.email == email:
            return known.left
        return read_credits(self._client, email)

    def _write_again(self, records: list[SubmitRecord], state: SubmitState) -> None:
        """Record the submits that an earlier part of this try could not record as not accepted."""
        for record in records:
            if record.reference in state.unrecorded:
                # One of them may have got lost: which one does not matter to the bound on lost submits.
                was_lost = record.was_lost or state.is_resubmitted
                self._once.record_not_accepted(dataclasses.replace(record, was_lost=was_lost))

    def _not_accepted(
        self, state: SubmitState, admission: Admission, error: PixverseError
    ) -> tuple[SubmitState, SlotUpdate]:
        """Return how to go on after a job was not accepted, or raise the error that the task ends with."""
        waits = self._task.wait_for_capacity
        if isinstance(error, PixverseFatalError):
            raise PixverseFatalError(f"{error}{self._problems_of_accounts()}") from error
        if isinstance(error, PixverseRateLimitError):
            state = state.after_refusal()
            if waits and state.refusals <= self._task.max_refusals:
                return state, admission.lease_update(LeaseUpdate.REFUSED)
            raise self._refused(state, error) from error
        if isinstance(error, PixverseTransientError) and waits:
            is_lost = isinstance(error, NotListedError)
            state = state.after_loss() if is_lost else state.after_setback()
            return state, admission.lease_update(LeaseUpdate.RELEASED)
        raise error

    def _request_beside(self, record: SubmitRecord, state: SubmitState) -> SubmitRequest | None:
        """Return the request. None if it cannot be made: a job that is accepted does not need it."""
        try:
            return self._task.make_request(self._context, state)
        except Exception as error:  # noqa: BLE001 - the user's function may raise anything
            self._log.warning("%s: %s. %s does not need it", type(error).__name__, error, record.jobs)
            return None

    def _with_payload(self, state: SubmitState, request: SubmitRequest | None) -> SubmitState:
        """Return the state with the payload, if it is to travel with the task."""
        if request is None or not self._task.remembers_payload:
            return state
        return dataclasses.replace(state, payload=request.payload)

    def _next_admission(
        self, state: SubmitState, update: SlotUpdate = None, retry_after: float | None = None
    ) -> Admission:
        if self._task.wait_for_capacity:
            return self._waits.for_capacity(state, update, retry_after)
        return Admission([])

    def _refused(self, state: SubmitState, error: PixverseRateLimitError) -> PixverseRateLimitError:
        times = "once" if state.refusals == 1 else f"{state.refusals} times"
        return PixverseRateLimitError(
            f"{error}; refused {times}{self._problems_of_accounts()}",
            retry_after=error.retry_after,
            status=error.status,
        )

    def _problems_of_accounts(self) -> str:
        """Return which of the accounts take no jobs, as a continuation of an error."""
        from airflow_pixverse.api.accounts import account_problems

        return "".join(f". {problem}" for problem in account_problems(self._client, self._request.emails))
