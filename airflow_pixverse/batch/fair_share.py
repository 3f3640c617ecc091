"""FairShares: the slots that a batch leaves to other DAGs, so that it has no more than its turns."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from airflow_pixverse.api.kinds import account_of
from airflow_pixverse.api.reply_ref import has_random_part, prefix_of
from airflow_pixverse.api.scheduler import email_key, email_keys
from airflow_pixverse.submission.request import task_name_of

if TYPE_CHECKING:
    from airflow_pixverse.api.scheduler import ExecutingJob

log = logging.getLogger(__name__)

# Seconds for which a slot is left that others are owed: a gate polls, and a worker comes, in that time.
_OWED_FOR = 20.0
# Seconds after which a slot is offered to DAGs of which no job was seen, or that have left one unused. It is
# left for longer, as their gate may not know yet how long a worker takes.
_OFFER_EVERY = 600.0
_OFFER_FOR = 40.0
# Seconds for which a DAG probably has more to submit, once its last job is gone.
_REMEMBERED = 60.0
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
        self._task = task_name_of(f"{prefix}#")
        self._accounts = None if emails is None else email_keys(emails)
        self._turns: defaultdict[str, _Turns] = defaultdict(partial(_Turns, time.monotonic()))
        self._named: set[str] = set()

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
        for name in sorted({name for names in listed.values() for name in names.values()} - self._named):
            self._named.add(name)
            log.info("Taking turns with %s, which submits jobs, too", name)

    def take_turns(self, free: Counter[str]) -> Counter[str]:
        """
        Return how many of the free slots of each account are the batch's now; the others are left.

        :param free: the free slots of the accounts that have some.
        """
        now = time.monotonic()
        by_key = {email_key(email): (email, n) for email, n in free.items()}
        mine: Counter[str] = Counter()
        for key in self._turns.keys() | by_key.keys():
            email, n = by_key.get(key, (key, 0))
            mine[email] = self._turns[key].take_turn(n, now)
        return mine

    def record_sent(self, email: str) -> None:
        """Record that a row is being submitted to an account."""
        self._turns[email_key(email)].record_started(1)

    def record_accepted(self, email: str, job_ids: Iterable[str]) -> None:
        """Record the jobs of a row that was sent: there may be several, and on another account."""
        accounts = [email_key(account_of([job_id]) or email) for job_id in job_ids]
        for account in accounts:
            self._turns[account].has_slots = True
        if email_key(email) in accounts:
            accounts.remove(email_key(email))  # it is recorded already
        else:
            self.record_not_accepted(email)
        for account in accounts:
            self._turns[account].record_started(1)

    def record_not_accepted(self, email: str) -> None:
        """Record that a row that was sent has no job on its account."""
        self._turns[email_key(email)].record_started(-1)

    def _name_of(self, reply_ref: str | None) -> str | None:
        """Return the name of the other that has submitted a job; None for this batch and other programs."""
        prefix = prefix_of(reply_ref)
        if not has_random_part(reply_ref) or prefix.casefold() == self._prefix.casefold():
            return None
        task = task_name_of(reply_ref)
        if task is None:
            return _NAMELESS
        # Another instance of this task is a batch of its own, and all tasks of another DAG wait for it.
        own = self._task
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
        """The number of slots that were left at the last look and that no job of others has taken since."""
        self._left_since: float | None = None
        self._next_offer = now + _OFFER_EVERY
        self.has_slots = False
        """Whether the batch has had a slot since its last offer."""

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
        """Owe each other one slot for each job; fewer for a negative number."""
        self._owed = max(0, self._owed + jobs * self.others)

    def take_turn(self, free: int, now: float) -> int:
        """Return how many of the free slots are the batch's, and leave the others."""
        if free and now >= self._next_offer:
            self._next_offer = now + _OFFER_EVERY
            self._satisfied.clear()
            # A batch without a slot has none to offer: it would leave the one that another batch offers.
            if self.has_slots:
                self._owed += 1
                log.info("Leaving a slot for up to %.0f s, as another task may wait", _OFFER_FOR)
            self.has_slots = False
        patience = _OWED_FOR if self.others else _OFFER_FOR
        if self._left <= 0:
            self._left_since = None
        elif self._left_since is not None and now - self._left_since >= patience:
            # Some slot was free all the time, so no task waits for one.
            self._satisfied = set(self._last_seen)
            self._owed = 0
            self._next_offer = now + _OFFER_EVERY
        mine = self._share_of(free)
        self._left = free - mine
        if self._left and self._left_since is None:
            self._left_since = now
        return mine

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
