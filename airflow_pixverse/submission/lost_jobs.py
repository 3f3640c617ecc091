"""
The search for lost jobs: those of a submit whose answer was lost, or whose process has died.

An entry of a list proves that a job is there. A list without one proves nothing, unless every entry that
could be the job is known to be another's: so each entry is one of three, and not of two. Each reason why a
job might not be seen is a doubt, and with a doubt nothing is submitted again. The table of all evidence is in
docs/explanation/evidence.md.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, Self

from airflow_pixverse.api import reply_ref
from airflow_pixverse.api.errors import PixverseError, PixverseTransientError
from airflow_pixverse.api.kinds import KINDS, kinds_made, makes_several, split_job_id, takes_seed

if TYPE_CHECKING:
    from airflow_pixverse.api.accounts import Account
    from airflow_pixverse.api.errors import PixverseUnknownOutcomeError
    from airflow_pixverse.api.results import JobResult, ResultPage
    from airflow_pixverse.api.scheduler import Capacity, ExecutingJob
    from airflow_pixverse.journal import SubmitRecord
    from airflow_pixverse.submission.request import SubmitRequest

log = logging.getLogger(__name__)

_PAGE = 50
_MOST_PAGES = 10  # of each list of each account
# "elapsed" has whole seconds.
_ROUNDING = timedelta(seconds=5)
# Between the clock that dates answers ("Date", of useapi.net) and the one that dates jobs (of PixVerse).
_CLOCK_DIFFERENCE = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class LookTiming:
    """
    The times of a look for a lost job, in seconds.

    :param look_for: how long it looks at the executing jobs, counted from the submit.
    :param every: pause between two looks.
    :param longest_gap: how long the list may be out of sight and still prove something.
    :param result_looks: how often it asks for lists of results that cannot be seen.
    """

    look_for: float = 45.0
    every: float = 3.0
    longest_gap: float = 10.0
    result_looks: int = 5


TIMING = LookTiming()


@dataclass(frozen=True, kw_only=True)
class SubmitFingerprint:
    """
    The traits that tell the jobs of one submit from all others in the lists of the API.

    Moments are compared as durations, each taken by one clock: that of this machine may be wrong.

    :param endpoint: such as ``videos/create``.
    :param reference: its ``replyRef``, which no other submit has.
    :param sent_ago: returns how long ago it was sent.
    :param random_seed: the seed that was chosen for it at random. None if there is none.
    :param user_seed: the seed that the user chose, which other submits may have, too. None if unknown.
    :param email: the account that it was sent to. None if the service chose one.
    """

    endpoint: str
    reference: str
    sent_ago: Callable[[], timedelta]
    random_seed: int | None = None
    user_seed: int | None = None
    email: str | None = None

    @classmethod
    def of(cls, record: SubmitRecord, *, seconds_since: Callable[[], float], user_seed: Any = None) -> Self:
        """
        Return the fingerprint of a submit.

        :param record: its record.
        :param seconds_since: returns how many seconds ago it was sent.
        :param user_seed: the seed in its payload, as the user wrote it.
        """
        is_number = isinstance(user_seed, (int, str)) and str(user_seed).isdecimal()
        return cls(
            endpoint=record.endpoint,
            reference=record.reference,
            sent_ago=lambda: timedelta(seconds=seconds_since()),
            random_seed=record.seed,
            user_seed=int(user_seed) if is_number else None,
            email=record.email,
        )

    def matches_executing(self, job: ExecutingJob) -> bool | None:
        """Return whether an executing job is one of this submit; None if its entry tells too little."""
        from airflow_pixverse.api.scheduler import email_key

        is_same = reply_ref.is_same(job.reply_ref, self.reference)
        if is_same is not None:
            return is_same
        is_elsewhere = self.email and job.email and email_key(self.email) != email_key(job.email)
        running = job.running
        is_older = running is not None and running > self.sent_ago() + _ROUNDING
        return False if is_elsewhere or is_older or self._is_of_another_kind(job.id) else None

    def matches_result(self, result: JobResult, now: datetime | None) -> bool | None:
        """
        Return whether a result is one of this submit; None if it tells too little.

        :param now: the time of the service; None if unknown.
        """
        is_same = reply_ref.is_same(result.reply_ref, self.reference)
        if is_same is not None:
            return is_same
        if self.random_seed is not None and result.seed == self.random_seed:
            return True
        seed = (self.random_seed or self.user_seed) if takes_seed(self.endpoint) else None
        has_another_seed = bool(seed and result.seed and seed != result.seed)
        is_another = has_another_seed or self._is_of_another_kind(result.id) or self.precedes(result, now)
        return False if is_another else None

    def precedes(self, result: JobResult, now: datetime | None) -> bool:
        """Return whether a result was begun before this submit, by the clock of the service."""
        if result.created is None or now is None:
            return False
        return now - result.created > self.sent_ago() + _CLOCK_DIFFERENCE

    def _is_of_another_kind(self, job_id: str | None) -> bool:
        job = split_job_id(job_id or "")
        return job is not None and job.kind in KINDS and job.kind not in kinds_made(self.endpoint)


class SearchClient(Protocol):
    """The calls of the client that show jobs."""

    def get_capacity(self) -> Capacity:
        """Return the jobs that execute now."""

    def get_accounts(self) -> list[Account]:
        """Return the accounts."""

    def list_results(
        self, kind: str, *, email: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> ResultPage:
        """Return a page of results."""


class JobSearch:
    """
    A search for the jobs of one submit, which remembers what it has seen.

    :param client: a client that does not retry.
    :param fingerprint: that of the submit.
    """

    def __init__(self, client: SearchClient, fingerprint: SubmitFingerprint) -> None:
        self._client = client
        self.fingerprint = fingerprint
        self._verdicts: dict[str, bool | None] = {}
        self._has_nameless = False

    @property
    def found(self) -> list[str]:
        """The ids of the jobs of the submit that were seen so far."""
        return [job_id for job_id, is_own in self._verdicts.items() if is_own]

    @property
    def suspects(self) -> list[str]:
        """The jobs that may be of the submit: ids, and a few words for entries that have none."""
        ids = [job_id for job_id, is_own in self._verdicts.items() if is_own is None]
        return [*ids, "a job without an id"] if self._has_nameless else ids

    @property
    def is_done(self) -> bool:
        """Whether all jobs of the submit are found: of several images, some may be in another list."""
        return bool(self.found) and not makes_several(self.fingerprint.endpoint)

    def look_at_executing(self) -> None:
        """
        Look at the jobs that execute now (``executing`` of ``GET scheduler/available``).

        :raises PixverseError: they cannot be seen, or not all of them.
        """
        capacity = self._client.get_capacity()
        for job in capacity.executing:
            self._add(job.id, self.fingerprint.matches_executing(job))
        if not capacity.lists_all_executing:
            raise PixverseTransientError("GET scheduler/available did not list all jobs that execute")

    def look_at_results(self) -> None:
        """
        Look at the results of the accounts since the submit, those in the making included.

        :raises PixverseError: it cannot be seen, or not all of it.
        """
        from airflow_pixverse.api.accounts import MAX_ACCOUNTS_LISTED

        email = self.fingerprint.email
        emails = [email] if email else [account.email for account in self._client.get_accounts()]
        kinds = dict.fromkeys(kind.results_of for kind in kinds_made(self.fingerprint.endpoint).values())
        trouble: PixverseError | None = None
        if len(emails) >= MAX_ACCOUNTS_LISTED:  # the rest is not read, and may have made the job
            trouble = PixverseTransientError("GET accounts may list more accounts than are read")
        for one in emails or [None]:
            for kind in kinds:
                try:
                    self._look_at_list(kind, one)
                except PixverseError as error:  # one account in trouble does not hide the others
                    trouble = error
        if trouble:
            raise trouble

    def look(self) -> PixverseError | None:
        """Look at both, and return why not all could be seen; None if it could."""
        trouble: PixverseError | None = None
        for look in (self.look_at_executing, self.look_at_results):
            if self.is_done:
                break
            try:
                look()
            except PixverseError as error:
                trouble = error
        return trouble

    def _look_at_list(self, kind: str, email: str | None) -> None:
        """Look at the results of an account, newest first, until all of a page is older than the submit."""
        offset = 0
        for _ in range(_MOST_PAGES):
            page = self._client.list_results(kind, email=email, limit=_PAGE, offset=offset)
            for result in page.results:
                self._add(result.id, self.fingerprint.matches_result(result, page.answered_at))
            if not page.results or page.has_more is False or self._is_older(page):
                return
            offset = page.next_offset or offset + len(page.results)
        raise PixverseTransientError(f"the list of {kind} results has more than {_MOST_PAGES} recent pages")

    def _is_older(self, page: ResultPage) -> bool:
        return all(self.fingerprint.precedes(result, page.answered_at) for result in page.results)

    def _add(self, job_id: str | None, is_own: bool | None) -> None:
        """Remember the verdict on an entry: what one list leaves open, another may tell."""
        if not job_id:
            self._has_nameless = self._has_nameless or is_own is not False
        elif is_own or self._verdicts.get(job_id) is None:
            self._verdicts[job_id] = is_own


def doubts_about(
    request: SubmitRequest, error: PixverseUnknownOutcomeError, *, is_resubmission: bool
) -> list[str]:
    """
    Return why a job may be accepted although it is not to be seen, however a look ends.

    :param request: what was submitted.
    :param error: what the submit ended with.
    :param is_resubmission: an earlier submit of the task may be paid for. The next one would be the third.
    """
    unlisted = [name for name, kind in kinds_made(request.endpoint).items() if not kind.is_listed]
    doubts = {
        "its answer says success": error.says_success,
        "an off-peak job is not listed while it waits": bool(request.payload.get("off_peak_mode")),
        f"{' or '.join(unlisted)} is not known to be listed while it is made": bool(unlisted),
        "an earlier submit of this task got lost, too": is_resubmission,
    }
    return [doubt for doubt, is_there in doubts.items() if is_there]


def look_for_lost_job(
    search: JobSearch,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """
    Look for the job of a submit that this process has sent, and whose answer was lost.

    It is looked for among the jobs that execute, at once and for ``look_for`` seconds, and then among the
    results.

    :return: why it may be accepted although the search has not found it; nothing if that proves that it is
        not accepted.
    """
    doubts = []
    if _is_out_of_sight(search, clock, sleep):
        doubts.append(f"the list of executing jobs was out of sight for more than {TIMING.longest_gap:g} s")
    if not search.is_done and (trouble := _trouble_with_results(search, sleep)):
        doubts.append(f"what the accounts have made cannot be seen: {trouble}")
    return doubts + ([suspicion] if (suspicion := suspicion_of(search.suspects)) else [])


def find_submitted_jobs(
    client: SearchClient,
    record: SubmitRecord,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> JobSearch:
    """
    Search for the jobs of a submit that another process has sent; to find none proves nothing.

    They are looked for at once and, since the service may still be at it, until it was sent ``look_for``
    seconds ago. A list that cannot be seen is asked for again, also if some jobs are found: others may be in
    it.

    :param client: a client that does not retry.
    :raises PixverseError: there is no answer, and none was found.
    """
    # The clock of the worker that sent it may be ahead.
    sent_at = min(datetime.fromisoformat(record.sent_at).timestamp(), clock())
    fingerprint = SubmitFingerprint.of(record, seconds_since=lambda: clock() - sent_at)
    search = JobSearch(client, fingerprint)
    looks_left = TIMING.result_looks
    while True:
        trouble = search.look()
        if search.is_done or (search.found and not trouble):
            return search
        left = sent_at + TIMING.look_for - clock()
        if left <= 0:
            looks_left -= 1
            if trouble is None:
                return search
            if not looks_left:
                if search.found:
                    log.warning("Jobs beside %s may have been missed: %s", ", ".join(search.found), trouble)
                    return search
                raise trouble
        sleep(min(TIMING.every, left) if left > 0 else TIMING.every)


def suspicion_of(suspects: list[str]) -> str:
    """Return which jobs may be the one that was lost, as a clause; empty if there are none."""
    shown, more = suspects[:3], len(suspects[3:])
    names = ", ".join([*shown, *([f"{more} others"] if more else [])])
    return f"it may be {names}" if names else ""


def _is_out_of_sight(search: JobSearch, clock: Callable[[], float], sleep: Callable[[float], None]) -> bool:
    """Look at the executing jobs until one is found or the time is over; return whether they were hidden."""
    seen_at = clock()
    ends = seen_at + TIMING.look_for
    is_seen = has_gaps = False
    while True:
        asked_at = clock()
        try:
            search.look_at_executing()
        except PixverseError:
            pass  # the list is out of sight, which the clock tells
        else:
            has_gaps = has_gaps or asked_at - seen_at > TIMING.longest_gap
            seen_at, is_seen = asked_at, True
        now = clock()
        if search.found or now >= ends:
            return has_gaps or not is_seen or now - seen_at > TIMING.longest_gap
        sleep(min(TIMING.every, ends - now))


def _trouble_with_results(search: JobSearch, sleep: Callable[[float], None]) -> PixverseError | None:
    """Look at the results until all of them are seen; return why they cannot be."""
    for looks_left in reversed(range(TIMING.result_looks)):
        try:
            search.look_at_results()
        except PixverseError as error:
            if search.is_done or not looks_left:
                return error
            sleep(TIMING.every)
        else:
            break
    return None
