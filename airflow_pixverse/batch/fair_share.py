"""FairShares: the slots that a batch leaves to other DAGs, so that it has no more than its turns."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from airflow_pixverse.api.reply_ref import prefix_of, random_part_of
from airflow_pixverse.api.scheduler import email_key, email_keys
from airflow_pixverse.submission.request import task_name_of

if TYPE_CHECKING:
    from airflow_pixverse.api.scheduler import ExecutingJob

# Seconds for which a slot is left: a gate polls, and a worker comes, in that time.
_OFFER_FOR = 20.0
# Seconds after which a slot is left to DAGs of which no job was seen, or that have left one unused.
_OFFER_EVERY = 300.0
# Seconds for which a DAG probably has more to submit, once its last job is gone.
_REMEMBERED = 60.0
_RANDOM_PART = re.compile(r"[\w-]{16}")
_NAMELESS = "a DAG of unknown name"


class FairShares:
    """
    The turns of a batch: on each account it is one wait beside those of other DAGs.

    A batch on a worker cannot see which tasks wait at a gate, so it goes by the jobs that start.

    :param prefix: the beginning of each ``replyRef`` of this batch.
    :param emails: the accounts that it may use; None for all accounts.
    """

    def __init__(self, prefix: str, emails: Iterable[str] | None) -> None:
        self._prefix = prefix
        self._accounts = None if emails is None else email_keys(emails)
        self._turns: defaultdict[str, _Turns] = defaultdict(partial(_Turns, time.monotonic()))

    @property
    def is_shared(self) -> bool:
        """Whether other DAGs probably wait for slots, too."""
        return any(turns.others for turns in self._turns.values())

    def see(self, jobs: Iterable[ExecutingJob]) -> None:
        """Count the jobs that others have started and ended since the last snapshot."""
        now = time.monotonic()
        listed: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for job in jobs:
            name, account = self._name_of(job.reply_ref), email_key(job.email)
            is_usable = self._accounts is None or account in self._accounts
            if name and job.id and account and is_usable:
                listed[account][job.id] = name
        for account in self._turns.keys() | listed.keys():
            self._turns[account].see(listed[account], now)

    def allowed(self, free: Counter[str]) -> Counter[str]:
        """Return how many of the free slots of each account are the batch's now."""
        now = time.monotonic()
        by_key = {email_key(email): (email, n) for email, n in free.items()}
        allowed: Counter[str] = Counter()
        for key in self._turns.keys() | by_key.keys():
            email, n = by_key.get(key, (key, 0))
            allowed[email] = self._turns[key].allowed(n, now)
        return allowed

    def record_started(self, email: str, jobs: int) -> None:
        """Record that jobs of the batch are accepted."""
        self._turns[email_key(email)].record_started(jobs)

    def _name_of(self, reply_ref: str | None) -> str | None:
        """Return the name of the other that has submitted a job; None for this batch and other programs."""
        prefix = prefix_of(reply_ref)
        is_of_a_task = _RANDOM_PART.fullmatch(random_part_of(reply_ref))
        if not is_of_a_task or prefix.casefold() == self._prefix.casefold():
            return None
        task = task_name_of(reply_ref)
        if task is None:
            return _NAMELESS
        # Another instance of this task is a batch of its own, and all tasks of another DAG wait for it.
        own = task_name_of(f"{self._prefix}#")
        is_instance = own is not None and (own.dag_id, own.task_id) == (task.dag_id, task.task_id)
        return prefix if is_instance else task.dag_id


class _Turns:
    """
    The turns of a batch on one account; all moments are those of the monotonic clock.

    The others are DAGs, and other instances of the same batch.
    """

    def __init__(self, now: float) -> None:
        self._jobs: dict[str, str] = {}
        """The listed jobs of others."""
        self._last_seen: dict[str, float] = {}
        self._satisfied: set[str] = set()
        """The others that have left a slot unused, and so have all that they want."""
        self._owed = 0
        """The number of slots that others are to have before the batch."""
        self._left = 0
        self._left_since: float | None = None
        self._next_offer = now + _OFFER_EVERY

    @property
    def others(self) -> int:
        """The number of others that probably have more to submit."""
        return len(self._last_seen.keys() - self._satisfied)

    def see(self, jobs: dict[str, str], now: float) -> None:
        """See which jobs of others are listed."""
        started = len(jobs.keys() - self._jobs.keys())
        # A DAG that has all that it wants may want a slot again that it has had.
        ended = sum(name in self._satisfied for job, name in self._jobs.items() if job not in jobs)
        self._owed = max(0, self._owed + ended - started)
        self._left -= started
        self._jobs = jobs
        self._last_seen |= dict.fromkeys(jobs.values(), now)
        self._last_seen = {name: seen for name, seen in self._last_seen.items() if now - seen <= _REMEMBERED}

    def record_started(self, jobs: int) -> None:
        """Owe each other one slot for each job."""
        self._owed += jobs * self.others

    def allowed(self, free: int, now: float) -> int:
        """Return how many of the free slots are the batch's."""
        if free and now >= self._next_offer:
            self._next_offer = now + _OFFER_EVERY
            self._satisfied.clear()
            self._owed += 1
        if self._left <= 0:
            self._left_since = None
        elif self._left_since is not None and now - self._left_since >= _OFFER_FOR:
            # Some slot was free all the time, so no task waits for one.
            self._satisfied = set(self._last_seen)
            self._owed = 0
            self._next_offer = now + _OFFER_EVERY
        allowed = self._share_of(free)
        self._left = free - allowed
        if self._left and self._left_since is None:
            self._left_since = now
        return allowed

    def _share_of(self, free: int) -> int:
        """Return how many of so many slots are the batch's, if others take those that they are owed."""
        mine, owed = 0, self._owed
        for _ in range(free):
            if owed:
                owed -= 1
            else:
                mine += 1
                owed = self.others
        return mine
