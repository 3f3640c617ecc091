"""Executing jobs and capacity: the models of the two scheduler endpoints, for every revision of the API."""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, ModelWrapValidatorHandler, TypeAdapter, model_validator

from airflow_pixverse.api.api_model import (
    UNKNOWN,
    ApiModel,
    Count,
    FreeSlots,
    Name,
    Text,
    first_objects,
    parse_iso,
)
from airflow_pixverse.api.kinds import split_job_id

MAX_JOBS_READ = 2_000
MAX_ACCOUNTS_READ = 100

_ELAPSED = re.compile(r"(?:(?P<hours>\d{1,6}):)?(?P<minutes>\d{1,6}):(?P<seconds>\d{1,2})")


class ExecutingJob(ApiModel):
    """
    A job that is being executed, as listed by ``GET scheduler/`` and ``GET scheduler/available``.

    :param id: job id; ``video_id`` and ``videoId`` of older revisions are read too.
    :param type: ``video``, ``image``, ``music`` or a type added since; absent means ``video``.
    :param email: the account that runs it, parsed from the id; None if unknown.
    :param started: when it started, ISO 8601 in UTC, as the API wrote it.
    :param elapsed: how long it has been running, as the API wrote it (``MM:SS``).
    :param reply_url: callback URL given at submission (``replyUrl``).
    :param reply_ref: reference given at submission (``replyRef``).
    """

    id: Name | None = None
    type: Name = "video"
    email: Name | None = None
    started: Text | None = None
    elapsed: Text | None = None
    reply_url: Text | None = Field(default=None, alias="replyUrl")
    reply_ref: Text | None = Field(default=None, alias="replyRef")

    _id_spellings: ClassVar[tuple[str, ...]] = ("id", "video_id", "videoId")

    @model_validator(mode="before")
    @classmethod
    def _unify_revisions(cls, item: Any) -> Any:
        if not isinstance(item, dict):
            return item
        fields = {key: value for key, value in item.items() if key not in cls._id_spellings}
        ids = (item[key] for key in cls._id_spellings if item.get(key) is not None)
        fields["id"] = job_id = next(ids, None)
        if fields.get("email") is None:
            parsed = split_job_id(str(job_id))
            fields["email"] = parsed and parsed.email
        return fields

    @property
    def started_at(self) -> datetime | None:
        """Time of its start, in UTC where the API writes no zone; None if unknown."""
        return parse_iso(self.started)

    def age(self, now: datetime) -> timedelta | None:
        """
        Return how long it has been running at ``now``; None if unknown.

        This goes by ``started``, since the form of ``elapsed`` beyond an hour is not documented.
        """
        return self.running if self.started_at is None else now - self.started_at

    @property
    def running(self) -> timedelta | None:
        """Time it has been running by the clock of the service (``elapsed``); None if unknown."""
        match = _ELAPSED.fullmatch(self.elapsed or "")
        if not match:
            return None
        return timedelta(**{unit: int(digits or 0) for unit, digits in match.groupdict().items()})


class AccountCapacity(ApiModel):
    """
    The capacity of one PixVerse account, from ``GET scheduler/available``.

    :param email: the account.
    :param max_jobs: jobs it may run at once (``maxJobs``); None if unknown.
    :param executing: jobs it runs now; None if unknown.
    :param available: free slots, never negative. The API's own figure, which is not always ``max_jobs -
        executing``; derived from those two only where the API gives none, 0 where it gives nothing.
    """

    email: Name | None = None
    max_jobs: Count = Field(default=None, alias="maxJobs")
    executing: Count = None
    available: FreeSlots = UNKNOWN

    _available_is_derived: bool = False
    # Number of its jobs in the list of executing jobs, where the API does not tell ``executing``.
    _listed: int | None = None

    @model_validator(mode="after")
    def _trust_available(self) -> Self:
        if self.available == UNKNOWN:
            self._available_is_derived = True
            self.available = max(0, (self.max_jobs or 0) - (self.executing or 0))
        return self

    def count_listed(self, jobs: int) -> None:
        """Use the number of its jobs in the snapshot where the API does not tell ``executing``."""
        if self.executing is not None or self._listed is not None:
            return
        self._listed = jobs
        if self._available_is_derived:
            self.available = max(0, (self.max_jobs or 0) - jobs)

    @property
    def total(self) -> int:
        """
        All its slots: those that execute a job and those available, which can be less than ``max_jobs``.

        Where the API does not tell how many execute, the jobs in the snapshot count. Without a snapshot, it
        is ``max_jobs``.
        """
        executing = self._listed if self.executing is None else self.executing
        if executing is None:
            return max(self.max_jobs or 0, self.available)
        return executing + self.available


class Capacity(ApiModel):
    """
    A snapshot of ``GET scheduler/available``.

    :param executing: the jobs being executed, the first 2 000 of them.
    :param accounts: the accounts and their capacity (``available`` in the API's JSON), the first 100 of them.
        An account that is not listed has no capacity.
    """

    executing: Annotated[list[ExecutingJob], first_objects(MAX_JOBS_READ)] = Field(default=[])
    accounts: Annotated[list[AccountCapacity], first_objects(MAX_ACCOUNTS_READ)] = Field(
        default=[], alias="available"
    )

    _lists_all_executing: bool = False

    @property
    def lists_all_executing(self) -> bool:
        """Whether each job of the API's list is in ``executing``, and the API gave such a list."""
        return self._lists_all_executing

    @model_validator(mode="wrap")
    @classmethod
    def _compare_lists(cls, body: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        capacity = validate(body)
        listed = body.get("executing") if isinstance(body, dict) else None
        is_whole = isinstance(listed, list) and len(listed) == len(capacity.executing)
        capacity._lists_all_executing = is_whole  # noqa: SLF001 - there is no instance before it is validated
        return capacity

    @model_validator(mode="after")
    def _count_jobs(self) -> Self:
        silent = [account for account in self.accounts if account.executing is None]
        if silent:
            jobs = Counter(email_key(job.email) for job in self.executing if job.email)
            for account in silent:
                account.count_listed(jobs.pop(email_key(account.email), 0))  # once, if it is listed twice
        return self

    def chosen(self, emails: Iterable[str] | str | None = None) -> list[AccountCapacity]:
        """Return the accounts with these e-mails (case does not matter), all of them for None."""
        if emails is None:
            return list(self.accounts)
        wanted = email_keys(emails)
        return [account for account in self.accounts if email_key(account.email) in wanted]

    def free_slots(self, emails: Iterable[str] | str | None = None) -> int:
        """Return how many slots the chosen accounts have free together."""
        return sum(account.available for account in self.chosen(emails))

    def total_slots(self, emails: Iterable[str] | str | None = None) -> int:
        """Return how many slots the chosen accounts have in all, free or not."""
        return sum(account.total for account in self.chosen(emails))


# Parsers of the JSON of the two endpoints.
CAPACITY = TypeAdapter(Capacity)
EXECUTING = TypeAdapter(Annotated[list[ExecutingJob], first_objects(MAX_JOBS_READ)])


def accounts_with_room(
    capacity: Capacity, slots: int, emails: Iterable[str] | str | None = None
) -> list[AccountCapacity]:
    """
    Return the accounts whose free slots satisfy a wait: the one place that decides this.

    :param slots: free slots needed, over all chosen accounts together; at least 1.
    :param emails: the chosen accounts; None for all accounts.
    :return: the chosen accounts that have free slots, most free first, or nothing if together they have
        fewer than ``slots``.
    """
    if capacity.free_slots(emails) < slots:
        return []
    with_room = [account for account in capacity.chosen(emails) if account.available]
    return sorted(with_room, key=lambda account: account.available, reverse=True)


def email_key(email: str | None) -> str:
    """Return an e-mail for comparisons, in which case and surrounding white space do not matter."""
    return (email or "").strip().casefold()


def email_keys(emails: Iterable[str] | str) -> frozenset[str]:
    """Return several e-mails for comparisons; one string is one e-mail."""
    return frozenset(map(email_key, [emails] if isinstance(emails, str) else emails))


def describe_room(capacity: Capacity, slots: int, emails: Iterable[str] | None = None) -> str:
    """Return how many slots the chosen accounts have free, and how many are wanted, for a log."""
    return f"{capacity.free_slots(emails)} free, {slots} wanted"


def obstacles(capacity: Capacity, slots: int, emails: Iterable[str] | None = None) -> list[str]:
    """
    Return the reasons why a wait can never end as the accounts are now, a sentence each.

    :param slots: free slots to wait for.
    :param emails: the chosen accounts; None for all accounts.
    """
    found = []
    listed = {email_key(account.email) for account in capacity.accounts}
    if unlisted := sorted(email for email in emails or () if email_key(email) not in listed):
        found.append(f"The API lists no account {', '.join(unlisted)}: is the e-mail right?")
    total = capacity.total_slots(emails)
    if total < slots and (capacity.chosen(emails) or not unlisted):
        never = "1 slot is never free" if slots == 1 else f"{slots} slots are never free together"
        found.append(f"The chosen accounts run {total} {'job' if total == 1 else 'jobs'} at once: {never}")
    return found
