"""SubmitOnce: submit a job exactly once: write the intent, POST, write the outcome."""

from __future__ import annotations

import dataclasses
import logging
import secrets
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from airflow_pixverse.api.credits import known_credits
from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseRateLimitError,
    PixverseUnknownOutcomeError,
)
from airflow_pixverse.api.kinds import MAX_SEED, takes_seed
from airflow_pixverse.journal import JournalError, SubmitRecord, concurrent_attempt
from airflow_pixverse.reports.metrics import count
from airflow_pixverse.submission import lost_jobs
from airflow_pixverse.submission.errors import (
    AnswerLostError,
    NotListedError,
    NotOursError,
    NotSentError,
    UnsettledError,
)
from airflow_pixverse.submission.lost_jobs import JobSearch, SearchClient, SubmitFingerprint

if TYPE_CHECKING:
    from airflow_pixverse.api.submission import Submission
    from airflow_pixverse.journal import Journal, TaskTry
    from airflow_pixverse.submission.request import SubmitRequest

log = logging.getLogger(__name__)

# A process that was paused for longer than this many seconds between its record and the POST may have been
# given up and replaced in the meantime, so it begins again.
_LONGEST_WRITE = 5.0
_ATTEMPTS = 3


class SubmitClient(SearchClient, Protocol):
    """The calls of the client that a submit needs."""

    def submit(self, endpoint: str, payload: dict[str, Any]) -> Submission:
        """Submit a job."""


class SubmitOnce:
    """
    Submits a job such that no other try of the same task submits it, too.

    Before the POST the journal has a record ``sending``, which only this process ends: afterwards it says
    ``accepted`` or ``not accepted``, or the outcome is unknown.

    :param client_of: returns a client that does not retry.
    :param journal: the journal of this task instance, or of this row of a batch.
    :param task_try: the try that submits.
    :param item: the fingerprint of what a mapped instance is mapped to. None for one that is not mapped.
    :param looks_later: whether a submit whose answer is lost raises :class:`AnswerLostError`.
    :param sleep: function that waits for a number of seconds between two looks for a lost job.
    """

    def __init__(
        self,
        client_of: Callable[[], SubmitClient],
        journal: Journal,
        task_try: TaskTry,
        *,
        item: str | None = None,
        looks_later: bool = False,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client_of = client_of
        self._journal = journal
        self._try = task_try
        self._item = item
        self._looks_later = looks_later
        self._clock = clock
        self._sleep = sleep
        self.unrecorded: dict[str, SubmitRecord] = {}
        """Records, by reference, of submits that are not accepted: the journal could not be told so."""

    def submit(
        self,
        request: SubmitRequest,
        reference: str,
        *,
        email: str | None = None,
        known_references: Collection[str] = (),
        is_resubmission: bool = False,
        credits_before: int | None = None,
    ) -> SubmitRecord:
        """
        Submit a job, and return its record, which is accepted.

        :param reference: the whole ``replyRef``, which no other submit has.
        :param email: the account to send it to; None if the service is to choose.
        :param known_references: those of earlier submits that are no reason not to submit.
        :param is_resubmission: whether an earlier submit of the task may be paid for.
        :param credits_before: what the account has. None if unknown.
        :raises PixverseNoConnectionError: it is not accepted: nothing was sent.
        :raises NotListedError: it is not accepted, as far as can be seen: it was sent, and is not listed.
        :raises PixverseRateLimitError: it is not accepted for now (429).
        :raises PixverseFatalError: it is not accepted, and never will be.
        :raises NotSentError: nothing was sent, by this try.
        :raises UnsettledError: it is unknown whether it is accepted.
        :raises AnswerLostError: that has still to be found out, if it ``looks_later``.
        :raises JournalError: nothing was sent, since the record is not certain to be there.
        """
        needs_seed = takes_seed(request.endpoint) and "seed" not in request.payload
        record = SubmitRecord(
            state="sending",
            reference=reference,
            fingerprint=request.fingerprint,
            endpoint=request.endpoint,
            max_tries=self._try.max_tries,
            try_number=self._try.try_number,
            sent_at=datetime.now(UTC).isoformat(),
            seed=secrets.randbelow(MAX_SEED) + 1 if needs_seed else None,
            email=email,
            credits_before=credits_before,
            item=self._item,
            dag_run=self._try.dag_run,
        )
        body = request.body(reference=reference, seed=record.seed, email=email)
        record = self._write_intent(record, known_references)
        sent_at = time.monotonic()
        try:
            submission = self._client_of().submit(request.endpoint, body)
        except PixverseUnknownOutcomeError as error:
            fingerprint = SubmitFingerprint.of(
                record,
                seconds_since=lambda: time.monotonic() - sent_at,
                user_seed=request.payload.get("seed"),
            )
            search = JobSearch(self._client_of(), fingerprint)
            doubts = lost_jobs.doubts_about(request, error, is_resubmission=is_resubmission)
            look = partial(self._look_for, record, error, search, doubts)
            if self._looks_later:
                raise AnswerLostError(str(error), look) from error
            return look()
        except PixverseError as error:
            self.record_not_accepted(record)
            if isinstance(error, PixverseRateLimitError):
                count("refused", record.endpoint)
            raise
        cost = known_credits(submission.answer.get("cost_credits"))
        return self.record_accepted(dataclasses.replace(record, cost_credits=cost), submission.job_ids)

    def record_accepted(self, record: SubmitRecord, job_ids: Collection[str]) -> SubmitRecord:
        """Record that a job is accepted, and return its record; this try is going to wait for it."""
        log.info("PixVerse has accepted %s as %s", record.endpoint, ", ".join(job_ids))
        accepted = dataclasses.replace(
            record,
            state="accepted",
            job_ids=tuple(job_ids),
            max_tries=self._try.max_tries,
            try_number=self._try.try_number,
        )
        self._write_after(accepted)
        for job_id in job_ids:
            count("submitted", record.endpoint, job_id)
        return accepted

    def _write_intent(self, record: SubmitRecord, known_references: Collection[str]) -> SubmitRecord:
        """Write the record, and return it at a moment when this try is certain to be the only one."""
        for _ in range(_ATTEMPTS):
            began, ticked = self._clock(), time.monotonic()
            record = dataclasses.replace(record, sent_at=datetime.fromtimestamp(began, UTC).isoformat())
            try:
                self._journal.write(record)
                self._check_alone(record, known_references)
            except BaseException:  # such as the end of its execution_timeout: nothing is sent
                self.record_not_accepted(record)
                raise
            if max(self._clock() - began, time.monotonic() - ticked) <= _LONGEST_WRITE:
                return record
            log.warning("Writing the journal took longer than %g s, trying again", _LONGEST_WRITE)
        self.record_not_accepted(record)
        raise NotSentError(
            f"nothing was submitted: writing the journal took longer than {_LONGEST_WRITE:g} s, "
            f"{_ATTEMPTS} times"
        )

    def _check_alone(self, record: SubmitRecord, known_references: Collection[str]) -> None:
        others = [other for other in self._journal.read_all() if other.reference not in known_references]
        if other := concurrent_attempt(record, others):
            raise NotOursError(
                f"try {other.try_number} of this task has submitted, or is just submitting: this try has not",
                other,
            )
        self._journal.check_still_running()

    def _look_for(
        self, record: SubmitRecord, error: PixverseUnknownOutcomeError, search: JobSearch, doubts: list[str]
    ) -> SubmitRecord:
        """
        Find out whether a submit whose answer was lost is accepted; only the process that sent it can.

        :param doubts: why it may be accepted although it is not to be seen.
        """
        log.warning("%s. Looking for replyRef %s", error, record.reference)
        doubts = doubts + lost_jobs.look_for_lost_job(search, sleep=self._sleep)
        if search.found:
            return self.record_accepted(record, search.found)
        if doubts:
            count("unknown", record.endpoint)
            raise UnsettledError(record, "; ".join([str(error), *doubts])) from error
        self.record_not_accepted(dataclasses.replace(record, was_lost=True))
        text = (
            f"{error}; not listed for {lost_jobs.TIMING.look_for:g} s, nor among the results, "
            "so it is not accepted"
        )
        if isinstance(error.__cause__, PixverseFatalError):  # such as 413: it would be refused again
            raise PixverseFatalError(text, status=error.status) from error
        raise NotListedError(text, status=error.status) from error

    def record_not_accepted(self, record: SubmitRecord) -> None:
        """Record that a submit is certainly not accepted, or remember it in ``unrecorded``."""
        record = dataclasses.replace(record, state="not accepted")
        self.unrecorded.pop(record.reference, None)
        if not self._write_after(record):
            self.unrecorded[record.reference] = record

    def _write_after(self, record: SubmitRecord) -> bool:
        """Write an outcome, and return whether that worked: else a retry has to find it out."""
        try:
            self._journal.write(record)
        except JournalError as error:
            log.warning("Could not record that %s is %s: %s", record.reference, record.state, error)
            return False
        return True
