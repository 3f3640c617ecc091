"""What the two scheduler endpoints answer, in every dated revision of the API as the same models."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field, TypeAdapter, model_validator

from airflow_pixverse.api.api_model import (
    UNKNOWN,
    ApiModel,
    Count,
    FreeSlots,
    Name,
    Text,
    moment,
    objects,
)
from airflow_pixverse.api.job_id import parse_job_id

MAX_JOBS_READ = 10_000
MAX_ACCOUNTS_READ = 1_000

_ELAPSED = re.compile(r"(?:(?P<hours>\d{1,6}):)?(?P<minutes>\d{1,6}):(?P<seconds>\d{1,2})")


class ExecutingJob(ApiModel):
    """
    One job that is being executed, as listed by ``GET scheduler/`` and ``GET scheduler/available``.

    :param id: job id; ``video_id`` and ``videoId`` of older revisions are read too.
    :param type: ``video``, ``image``, ``music`` or a type added since; absent means ``video``.
    :param email: the account that runs it, parsed from the id; None where the id tells none.
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
            parsed = parse_job_id(str(job_id))
            fields["email"] = parsed and parsed.email
        return fields

    @property
    def started_at(self) -> datetime | None:
        """When it started; None if the API did not say, or not as ISO 8601. Without a zone it is UTC."""
        return moment(self.started)

    def age(self, now: datetime) -> timedelta | None:
        """
        Return how long it has been running at ``now``; None where the API does not tell.

        From ``started``, since what ``elapsed`` looks like beyond an hour is not documented.
        """
        if self.started_at is not None:
            return now - self.started_at
        match = _ELAPSED.fullmatch(self.elapsed or "")
        if not match:
            return None
        return timedelta(**{unit: int(digits or 0) for unit, digits in match.groupdict().items()})


class AccountCapacity(ApiModel):
    """
    How much room one PixVerse account has, from ``GET scheduler/available``.

    :param email: the account.
    :param max_jobs: jobs it may run at once (``maxJobs``); None where the API does not tell.
    :param executing: jobs it runs now; None where the API does not tell.
    :param available: free slots, never negative. The API's own figure, which is not always ``max_jobs -
        executing``; derived from those two only where the API gives none, 0 where it gives nothing.
    """

    email: Name | None = None
    max_jobs: Count = Field(default=None, alias="maxJobs")
    executing: Count = None
    available: FreeSlots = UNKNOWN

    _available_is_derived: bool = False
    # Where the API does not tell the number, its jobs in the list of those that execute.
    _listed: int | None = None

    @model_validator(mode="after")
    def _trust_available(self) -> AccountCapacity:
        if self.available == UNKNOWN:
            self._available_is_derived = True
            self.available = max(0, (self.max_jobs or 0) - (self.executing or 0))
        return self

    def count_listed(self, jobs: int) -> None:
        """Use the number of its jobs in the snapshot for what the API does not tell."""
        if self.executing is not None or self._listed is not None:
            return
        self._listed = jobs
        if self._available_is_derived:
            self.available = max(0, (self.max_jobs or 0) - jobs)

    @property
    def total(self) -> int:
        """
        Slots it has in all: what it executes and what is available, which can be less than ``max_jobs``.

        Where the API does not tell the number, the jobs that the snapshot lists are what it executes. Without
        a snapshot, ``max_jobs`` has to do.
        """
        executing = self._listed if self.executing is None else self.executing
        if executing is None:
            return max(self.max_jobs or 0, self.available)
        return executing + self.available


class Capacity(ApiModel):
    """
    One snapshot of ``GET scheduler/available``.

    :param executing: the jobs being executed, the first 10 000 of them.
    :param accounts: the accounts and their room (``available`` in the API's JSON), the first 1 000 of them.
        An account that is not listed has no capacity.
    """

    executing: Annotated[list[ExecutingJob], objects(MAX_JOBS_READ)] = Field(default=[])
    accounts: Annotated[list[AccountCapacity], objects(MAX_ACCOUNTS_READ)] = Field(
        default=[], alias="available"
    )

    @model_validator(mode="after")
    def _count_jobs(self) -> Capacity:
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


# What reads the two endpoints' JSON.
CAPACITY = TypeAdapter(Capacity)
EXECUTING = TypeAdapter(Annotated[list[ExecutingJob], objects(MAX_JOBS_READ)])


def accounts_with_room(
    capacity: Capacity, slots: int, emails: Iterable[str] | str | None = None
) -> list[AccountCapacity]:
    """
    Decide whether a snapshot satisfies a wait: the one place where that is decided.

    :param slots: free slots needed, over all chosen accounts together; at least 1.
    :param emails: the chosen accounts; None for all.
    :return: the chosen accounts that have free slots, most free first, or nothing if together they have
        fewer than ``slots``.
    """
    if capacity.free_slots(emails) < slots:
        return []
    with_room = [account for account in capacity.chosen(emails) if account.available]
    return sorted(with_room, key=lambda account: account.available, reverse=True)


def email_key(email: str | None) -> str:
    """Return what to compare an e-mail by: case and surrounding white space do not matter."""
    return (email or "").strip().casefold()


def email_keys(emails: Iterable[str] | str) -> frozenset[str]:
    """Return what to compare several e-mails by; one string is one e-mail."""
    return frozenset(map(email_key, [emails] if isinstance(emails, str) else emails))
