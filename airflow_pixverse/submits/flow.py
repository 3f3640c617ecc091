"""SubmitFlow: from what a task wants to have made to a job that PixVerse has accepted, once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

from airflow.providers.common.compat.sdk import AirflowException

from airflow_pixverse.api import reply_ref
from airflow_pixverse.api.account_troubles import account_troubles
from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseNoConnectionError,
    PixverseRateLimitError,
    PixverseTransientError,
)
from airflow_pixverse.job_metrics import count
from airflow_pixverse.slot_news import News
from airflow_pixverse.submits.admission import Admission
from airflow_pixverse.submits.cost import read_credits
from airflow_pixverse.submits.errors import LostSubmitError, TicketExpiredError, UnsettledError
from airflow_pixverse.submits.history import accepted_before, unsettled_before
from airflow_pixverse.submits.once import SubmitOnce
from airflow_pixverse.submits.settle import find_submitted
from airflow_pixverse.submits.task_prefix import task_prefix

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.marks import Mark, MarkStore
    from airflow_pixverse.marks.task_try import TaskTry
    from airflow_pixverse.submits.request import SubmitRequest
    from airflow_pixverse.submits.state import SubmitState
    from airflow_pixverse.submits.waits import SlotNews, Waits


@dataclass(frozen=True, kw_only=True)
class SubmitRules:
    """
    What a user wants to happen.

    :param wait_for_capacity: wait for a free slot first, and again after a refusal.
    :param max_refusals: how many refusals (429) are waited out.
    :param on_unknown: what to do where it cannot be known whether a job was accepted.
    :param report_credits: look at what the account has before a job is submitted.
    """

    wait_for_capacity: bool
    max_refusals: int
    on_unknown: Literal["fail", "resubmit"]
    report_credits: bool


class Accepted(NamedTuple):
    """
    A job that PixVerse has accepted, in this try or in an earlier one.

    :param mark: its mark.
    :param news: what to tell the gate of the slot that it keeps.
    """

    mark: Mark
    news: SlotNews


class SubmitFlow:
    """
    Picks up what an earlier try has submitted, or submits.

    :param task_try: which try of which task this is.
    :param request: what the task wants to have made.
    :param client: a client that does not retry.
    :param store: where the marks of the task are.
    :param waits: how to wait for a slot.
    :param prepare: does what has to be done before anything is submitted, such as uploads.
    :param log: where to tell how it goes.
    """

    def __init__(
        self,
        task_try: TaskTry,
        request: SubmitRequest,
        *,
        client: PixverseClient,
        store: MarkStore,
        waits: Waits,
        prepare: Callable[[SubmitRequest], SubmitRequest],
        rules: SubmitRules,
        log: Any,
    ) -> None:
        self._task_try = task_try
        self._request = request
        self._client = client
        self._store = store
        self._waits = waits
        self._prepare = prepare
        self._rules = rules
        self._log = log
        self._once = SubmitOnce(client, store, max_tries=task_try.max_tries, try_number=task_try.try_number)

    def accepted(self, state: SubmitState, admission: Admission | None = None) -> Accepted:
        """
        Return the accepted job of this task.

        :param admission: what a wait for a slot has led to; None if there was none yet.
        :raises PixverseFatalError: it is refused for good.
        :raises UnsettledError: it cannot be known whether it is accepted.
        :raises Exception: anything else is no reason not to retry.
        """
        marks = self._store.read_all()
        if mark := self._submitted_before(marks):
            return Accepted(mark, admission and admission.news(News.RELEASED))
        self._request = self._prepare(self._request)
        judged = {mark.reference for mark in marks}
        if admission is None:
            admission = self._next_admission(state)
        while True:
            try:
                return self._submit(admission, judged)
            except TicketExpiredError as error:
                self._log.warning("%s: it goes back to its place in the queue. Is lease too short?", error)
                admission = self._waits.for_capacity(state)
            except UnsettledError as error:
                if self._rules.on_unknown == "fail" or state.is_resubmitted:
                    raise
                self._log.warning("%s. It is submitted again, as on_unknown says", error)
                judged.add(error.mark.reference)
                state = dataclasses.replace(state.after_setback(), is_resubmitted=True)
                admission = self._next_admission(state, admission.news(News.RELEASED), state.pause(None))
            except PixverseError as error:
                state, news = self._not_accepted(state, admission, error)
                self._log.warning("%s", error)
                pause = state.pause(getattr(error, "retry_after", None))
                admission = self._next_admission(state, news, pause)

    def _submit(self, admission: Admission, judged: set[str]) -> Accepted:
        prefix = self._request.reply_ref or task_prefix(self._task_try)
        email = self._request.account(admission.accounts)
        mark = self._once.submit(
            self._request,
            reply_ref.join(prefix, admission.random_part or reply_ref.new_random_part()),
            email=email,
            valid_until=admission.valid_until,
            judged=judged,
            credits_before=read_credits(self._client, email) if self._rules.report_credits else None,
        )
        return Accepted(mark, admission.news(News.ACCEPTED))

    def _not_accepted(
        self, state: SubmitState, admission: Admission, error: PixverseError
    ) -> tuple[SubmitState, SlotNews]:
        """Return how to go on after a job was not accepted, or raise what the task ends with."""
        match error:
            case PixverseRateLimitError() | LostSubmitError():
                state = state.after_refusal()
                if self._rules.wait_for_capacity and state.refusals <= self._rules.max_refusals:
                    is_refusal = isinstance(error, PixverseRateLimitError)
                    return state, admission.news(News.REFUSED if is_refusal else News.RELEASED)
                raise self._refused(state, error) from error
            case PixverseNoConnectionError() if self._rules.wait_for_capacity:
                return state.after_setback(), admission.news(News.RELEASED)
            case PixverseFatalError():
                self._fail(state, admission, error)
        raise error

    def _submitted_before(self, marks: list[Mark]) -> Mark | None:
        """Return the mark of a job that an earlier try has submitted."""
        mark = accepted_before(marks) or unsettled_before(marks)
        if mark is None:
            return None
        self._check_payload_is_the_same(mark)
        if mark.state == "accepted":
            self._log.info("Waiting for %s, which try %d submitted", ", ".join(mark.job_ids), mark.try_number)
            return mark
        try:
            job_ids = find_submitted(self._client, mark)
        except PixverseError as error:
            raise AirflowException(
                f"what try {mark.try_number} of this task has sent to {mark.endpoint} at {mark.sent_at} with "
                f"replyRef {mark.reference} cannot be looked for now: {error}. A retry looks for it; to "
                "clear this task may pay for it again"
            ) from error
        if job_ids:
            return self._once.note_accepted(mark, job_ids)
        count("unknown", mark.endpoint)
        unsettled = UnsettledError(mark, f"try {mark.try_number} of this task ended before it knew")
        if self._rules.on_unknown == "fail":
            raise unsettled
        self._log.warning("%s. It is submitted again, as on_unknown says", unsettled)
        return None

    def _check_payload_is_the_same(self, mark: Mark) -> None:
        if mark.fingerprint == self._request.fingerprint:
            return
        jobs = ", ".join(mark.job_ids) or f"a job with replyRef {mark.reference}"
        text = f"try {mark.try_number} of this task has submitted {jobs} with another payload"
        if self._task_try.map_index >= 0:
            # The list may have another order now, and the job may be that of another item.
            raise PixverseFatalError(
                f"{text}, and which item of the list that was cannot be known. Clear this task to submit, "
                "and pay for, what it is mapped to now"
            )
        self._log.warning("%s: that one is waited for, and is not paid for again", text)

    def _next_admission(self, state: SubmitState, news: SlotNews = None, pause: float = 0.0) -> Admission:
        if self._rules.wait_for_capacity:
            return self._waits.for_capacity(state, news, pause)
        return Admission([])

    def _refused(self, state: SubmitState, error: PixverseTransientError) -> PixverseTransientError:
        times = "once" if state.refusals == 1 else f"{state.refusals} times"
        return type(error)(
            f"{error}; refused {times}{self._troubles()}", retry_after=error.retry_after, status=error.status
        )

    def _fail(self, state: SubmitState, admission: Admission, error: PixverseFatalError) -> NoReturn:
        """Fail for good, once the gate knows that the slot is not needed."""
        message = f"{error}{self._troubles()}"
        self._log.error("%s", message)
        self._waits.give_back(dataclasses.replace(state, failure=message), admission.news(News.RELEASED))
        raise PixverseFatalError(message) from error

    def _troubles(self) -> str:
        """Return which of the accounts take no jobs, as a continuation of an error."""
        return "".join(f". {trouble}" for trouble in account_troubles(self._client, self._request.emails))
