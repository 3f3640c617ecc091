"""SubmitOnce: note what is about to be submitted, submit it once, and note what became of that."""

from __future__ import annotations

import dataclasses
import logging
import secrets
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_pixverse.api.endpoints import MAX_SEED, takes_seed
from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseRateLimitError,
    PixverseUnknownOutcomeError,
)
from airflow_pixverse.job_metrics import count
from airflow_pixverse.marks import Mark, MarkError, rival_of
from airflow_pixverse.submits.cost import known_credits
from airflow_pixverse.submits.errors import (
    LostSubmitError,
    NotOursError,
    NotSentError,
    TicketExpiredError,
    UnsettledError,
)
from airflow_pixverse.submits.look import LONGEST_GAP, LOOK_FOR, Finding, look_for_lost_job
from airflow_pixverse.submits.settle import with_made

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.marks.store import MarkStore
    from airflow_pixverse.submits.request import SubmitRequest

log = logging.getLogger(__name__)

# A process that was paused for longer than this many seconds between its mark and the POST may have been
# given up and replaced in the meantime, so it begins anew.
_LONGEST_PAUSE = 5.0
_ATTEMPTS = 3


class SubmitOnce:
    """
    Submits a job such that no other try of the same task submits it, too.

    Before the POST the store has a mark ``sending``, which nobody but this process ends: afterwards it says
    ``accepted`` or ``not accepted``, or the outcome is not known.

    :param client: a client that does not retry.
    :param store: where the marks of this task instance are.
    :param max_tries: ``ti.max_tries``.
    :param try_number: ``ti.try_number``.
    """

    def __init__(
        self,
        client: PixverseClient,
        store: MarkStore,
        *,
        max_tries: int,
        try_number: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._store = store
        self._max_tries = max_tries
        self._try_number = try_number
        self._clock = clock

    def submit(
        self,
        request: SubmitRequest,
        reference: str,
        *,
        email: str | None = None,
        valid_until: float | None = None,
        judged: Collection[str] = (),
        credits_before: int | None = None,
    ) -> Mark:
        """
        Submit a job, and return its mark, which is accepted.

        :param reference: the whole ``replyRef``, which no other submit has.
        :param email: the account to send it to; None to let the service choose.
        :param valid_until: when the slot that is kept for it is given to others, in seconds since the epoch.
        :param judged: references of earlier submits that are no reason not to submit.
        :param credits_before: what the account has, if that is known.
        :raises PixverseNoConnectionError: it is not accepted: nothing was sent.
        :raises LostSubmitError: it is not accepted, as far as can be seen: it was sent, and is not listed.
        :raises PixverseRateLimitError: it is not accepted for now (429).
        :raises PixverseFatalError: it is not accepted, and never will be.
        :raises TicketExpiredError: nothing was sent: the slot is not kept any more.
        :raises NotSentError: nothing was sent, by this try.
        :raises UnsettledError: it cannot be known whether it is accepted.
        :raises MarkError: nothing was sent, since the mark is not certain to be there.
        """
        needs_seed = takes_seed(request.endpoint) and "seed" not in request.payload
        mark = Mark(
            state="sending",
            reference=reference,
            fingerprint=request.fingerprint,
            endpoint=request.endpoint,
            max_tries=self._max_tries,
            try_number=self._try_number,
            sent_at=datetime.now(UTC).isoformat(),
            seed=secrets.randbelow(MAX_SEED) + 1 if needs_seed else None,
            email=email,
            credits_before=credits_before,
        )
        body = request.body(reference=reference, seed=mark.seed, email=email)
        mark = self._mark_before(mark, judged, valid_until)
        sent_at = time.monotonic()
        try:
            submission = self._client.submit(request.endpoint, body)
        except PixverseUnknownOutcomeError as error:
            took_long = time.monotonic() - sent_at > LONGEST_GAP
            off_peak = bool(request.payload.get("off_peak_mode"))
            return self._look_for(mark, error, is_listed=not off_peak, took_long=took_long)
        except PixverseError as error:
            self._note_not_accepted(mark)
            if isinstance(error, PixverseRateLimitError):
                count("refused", mark.endpoint)
            raise
        cost = known_credits(submission.answer.get("cost_credits"))
        return self.note_accepted(dataclasses.replace(mark, cost_credits=cost), submission.job_ids)

    def note_accepted(self, mark: Mark, job_ids: Collection[str]) -> Mark:
        """Note the ids of a job that is accepted, and return its mark; this try is going to wait for it."""
        log.info("PixVerse has accepted %s as %s", mark.endpoint, ", ".join(job_ids))
        accepted = dataclasses.replace(
            mark, state="accepted", job_ids=tuple(job_ids), try_number=self._try_number
        )
        self._write_after(accepted)
        for job_id in job_ids:
            count("submitted", mark.endpoint, job_id)
        return accepted

    def _mark_before(self, mark: Mark, judged: Collection[str], valid_until: float | None) -> Mark:
        """Return the mark that is in the store, at a moment when this try is certain to be the only one."""
        for _ in range(_ATTEMPTS):
            began, ticked = self._clock(), time.monotonic()
            _check_ticket(valid_until, began)
            mark = dataclasses.replace(mark, sent_at=datetime.fromtimestamp(began, UTC).isoformat())
            try:
                self._store.write(mark)
                self._check_alone(mark, judged)
                now = self._clock()
                _check_ticket(valid_until, now)
            except Exception:
                self._note_not_accepted(mark)
                raise
            if max(now - began, time.monotonic() - ticked) <= _LONGEST_PAUSE:
                return mark
            log.warning("It took long to note what is about to be submitted, so it is noted again")
        self._note_not_accepted(mark)
        raise NotSentError(
            f"nothing was submitted: it took longer than {_LONGEST_PAUSE:g} s to note it, {_ATTEMPTS} times"
        )

    def _check_alone(self, mark: Mark, judged: Collection[str]) -> None:
        others = [other for other in self._store.read_all() if other.reference not in judged]
        if rival := rival_of(mark, others):
            raise NotOursError(
                f"try {rival.try_number} of this task has submitted, or is just submitting: this try has not"
            )
        self._store.check_still_running()

    def _look_for(
        self, mark: Mark, error: PixverseUnknownOutcomeError, *, is_listed: bool, took_long: bool
    ) -> Mark:
        """
        Find out what became of a submit whose answer was lost; only the process that sent it can.

        :param is_listed: whether such a job is listed while it executes.
        :param took_long: whether a short job may have begun and ended before the first look.
        """
        log.warning("%s. Looking for replyRef %s", error, mark.reference)
        look = look_for_lost_job(self._client, mark.reference)
        job_ids, is_made_known = look.job_ids, True
        try:
            job_ids = with_made(self._client, mark, look.job_ids)
        except PixverseError as trouble:
            is_made_known = False
            log.warning("What the accounts have made cannot be seen: %s", trouble)
        if job_ids:
            return self.note_accepted(mark, job_ids)
        ended_unseen = took_long and (not is_made_known or mark.seed is None)
        if look.finding is Finding.GAPS or not is_listed or ended_unseen:
            count("unknown", mark.endpoint)
            raise UnsettledError(mark, str(error)) from error
        self._note_not_accepted(mark)
        text = f"{error}; not listed for {LOOK_FOR:g} s, so it is not accepted"
        if isinstance(error.__cause__, PixverseFatalError):  # such as 413: it would be refused again
            raise PixverseFatalError(text, status=error.status) from error
        raise LostSubmitError(text, status=error.status) from error

    def _note_not_accepted(self, mark: Mark) -> None:
        self._write_after(dataclasses.replace(mark, state="not accepted"))

    def _write_after(self, mark: Mark) -> None:
        """Note what is known anyway: without that, a retry has to find it out."""
        try:
            self._store.write(mark)
        except MarkError as error:
            log.warning("That %s is %s could not be noted: %s", mark.reference, mark.state, error)


def _check_ticket(valid_until: float | None, now: float) -> None:
    if valid_until is not None and now > valid_until:
        raise TicketExpiredError("the slot that was kept for this task has been given to others")
