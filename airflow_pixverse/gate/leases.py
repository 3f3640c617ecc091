"""Leases: slots given to a wait whose job the service does not list yet."""

import itertools
import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from operator import attrgetter, itemgetter
from typing import Self
from weakref import WeakSet

from airflow_pixverse.api.reply_ref import random_part_of
from airflow_pixverse.api.scheduler import MAX_JOBS_READ, Capacity, ExecutingJob, email_key
from airflow_pixverse.gate.awaited_job import LONGEST_LOOK
from airflow_pixverse.gate.early_room import EarlyRoom
from airflow_pixverse.gate.handovers import Handovers
from airflow_pixverse.gate.holders import Holders
from airflow_pixverse.gate.lease_update import LeaseUpdate

_numbers = itertools.count()

DEFAULT_LEASE = 120.0
"""Seconds of a lease for which nothing else is asked."""

# A slot whose job was refused stays leased for this many seconds: a user of the website has probably taken
# it, which the service does not list, and the next job would be refused, too.
_AFTER_REFUSAL = 180.0
# The last so many jobs of other triggerers may explain a refusal.
_MOST_TAKEN = 15
# A slot that has come for an early lease is kept for this many seconds at least.
_SHORTEST_KEPT = 10.0
# A job that is not listed for longer than this many seconds, and then is, counts as a new one.
_MEMORY = 3600.0
# Beyond this many jobs, those that were listed longest ago are forgotten earlier. What the last five
# snapshots have listed is always remembered.
_MOST_REMEMBERED = 5 * MAX_JOBS_READ


@dataclass(eq=False)
class Lease:
    """
    Slots that are kept from other waits.

    :param emails: keys of the accounts that the holder's jobs may land on; None for all accounts.
    :param suggested: how many slots of each account the holder was told to use, by key.
    :param expires_at: when it ends, used or not, by the gate's clock.
    :param reference: of the holder's job; empty if unknown.
    :param granted_at: when it was granted, by the gate's clock.
    :param awaited: id of the job on its one account that is expected to end, for which it was granted early;
        empty if it was not.
    :param has_slot: whether there is a slot to keep from others, which an early lease does not have at first.
    :param number: the lower, the older, whichever gate granted it.
    :param original: the lease of another gate that this is a copy of; None if it is no copy.
    :param accepted_at: when the holder said that the service has its job, by the gate's clock.
    :param is_abandoned: whether it has no holder any more, so that only time ends it.
    :param holder: the task instance that holds it, in whichever try; empty if unknown.
    """

    emails: frozenset[str] | None
    suggested: dict[str, int]
    expires_at: float
    reference: str = ""
    granted_at: float = -math.inf
    awaited: str = ""
    has_slot: bool = True
    number: int = field(default_factory=lambda: next(_numbers))
    original: Self | None = None
    accepted_at: float = math.inf
    is_abandoned: bool = False
    holder: str = ""

    @property
    def is_early(self) -> bool:
        """Whether it was granted before there was a slot."""
        return bool(self.awaited)

    @property
    def slots(self) -> int:
        """Number of slots that are kept."""
        return sum(self.suggested.values())

    def copy(self) -> Self:
        """Return a copy for another gate."""
        return replace(self, suggested=dict(self.suggested), original=self.original or self)

    def is_over(self, now: float, poll_began: float) -> bool:
        """Return whether its time is up, or its job was there before a poll began."""
        return self.expires_at <= now or self.accepted_at < poll_began

    def may_be_for(self, email: str) -> bool:
        """Return whether the holder's jobs may land on an account."""
        return self.emails is None or email in self.emails

    def end_one_slot(self, email: str) -> None:
        """Let a job take one of the slots: that of its account if the holder was told to use it."""
        if email not in self.suggested:
            email = max(self.suggested, key=self.suggested.__getitem__)
        self.suggested[email] -= 1
        if not self.suggested[email]:
            del self.suggested[email]


class Leases:
    """
    The open leases of a gate, oldest first, and the jobs it has seen.

    A lease is open from its grant until it is used or revoked, or a snapshot finds its time to be up. Every
    open lease counts, even if its time is up since the last snapshot: its job may have begun since then.
    """

    def __init__(self) -> None:
        self._leases: list[Lease] = []
        self._jobs = SeenJobs()
        self._references = SeenJobs()  # of all jobs that leases were granted for
        # The accounts of jobs of other triggerers, and when each was listed first.
        self._taken: deque[tuple[str, float]] = deque(maxlen=_MOST_TAKEN)
        self._handovers = Handovers()
        self._early_room = EarlyRoom()
        # Originals of the leases that have been open here, as long as one of them or a copy is open anywhere.
        self._known: WeakSet[Lease] = WeakSet()
        self.holders = Holders()
        """The task instances that wait here, or have waited."""

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._leases)

    def __len__(self) -> int:
        return len(self._leases)

    @property
    def slots(self) -> int:
        """Number of slots that are leased."""
        return sum(lease.slots for lease in self._kept())

    def any_lasts(self, now: float) -> bool:
        """Return whether any open lease has time left: the others end at the next snapshot in any case."""
        return any(lease.expires_at > now for lease in self)

    def suggested(self) -> Counter[str]:
        """Return how many slots of each account the holders were told to use, by key."""
        suggested: Counter[str] = Counter()
        for lease in self._kept():
            suggested.update(lease.suggested)
        return suggested

    def counts(self) -> Counter[frozenset[str] | None]:
        """Return how many slots are leased, by the accounts that the jobs may land on."""
        counts: Counter[frozenset[str] | None] = Counter()
        for lease in self._kept():
            counts[lease.emails] += lease.slots
        return counts

    def ahead_on(self, email: str) -> list[str] | None:
        """
        Return the references of the jobs that slots of an account are leased for; None if one is unknown.

        :param email: the key of the account.
        """
        references = [one.reference for one in self if email in one.suggested and not one.is_abandoned]
        return references if all(references) else None

    def refused_on(self, email: str) -> int:
        """Return how many slots of an account are kept since a job was refused there."""
        return sum(lease.suggested.get(email, 0) for lease in self if lease.is_abandoned)

    def early_room(self, total: Mapping[str, int]) -> dict[str, int]:
        """Return how many more waits may pass early on each account, which has so many slots."""
        looking = Counter(email for lease in self if not lease.has_slot for email in lease.suggested)
        return {email: self._early_room.at_once(email, n) - looking[email] for email, n in total.items()}

    @property
    def without_reference(self) -> set[str]:
        """Keys of the accounts with leases that name no job, behind which no wait passes early."""
        unnamed = (lease for lease in self if not (lease.reference or lease.is_abandoned))
        return {email for lease in unnamed for email in lease.suggested}

    @property
    def handover(self) -> float | None:
        """Seconds from a lease to the job, as the next handover may take; None if unknown."""
        return self._handovers.expected

    def grant(self, lease: Lease) -> None:
        """Add a lease, the newest. It replaces one for the same job."""
        if former := self._lease_for(lease.reference):
            self.revoke(former)
        self._known.add(lease.original or lease)
        self._leases.append(lease)
        if lease.is_early:
            for email in lease.suggested:
                self._early_room.record_admission(lease.awaited, email)
        if lease.reference:
            self._references.add(lease.reference, lease.expires_at)
            self.holders.record_grant(lease.holder, lease.reference)

    def end_of_earlier_try(self, holder: str) -> None:
        """
        End the lease of an earlier try of a task instance that waits again: it will submit nothing.

        That of a job which the service has, and a slot that it has refused, are left to their own ends.
        """
        for lease in list(self):
            is_its = bool(holder) and lease.holder == holder
            if is_its and not lease.is_abandoned and math.isinf(lease.accepted_at):
                self.revoke(lease)

    def revoke(self, lease: Lease) -> None:
        """End a lease whose holder will not use it, if it is open."""
        if lease in self._leases:
            self._leases.remove(lease)

    def update_lease(
        self, reference: str, update: LeaseUpdate, now: float, looked: float | None = None
    ) -> bool:
        """
        Record the outcome of a holder's job.

        :param reference: of the job; an unknown one is ignored.
        :param now: by the clock that leases end by.
        :param looked: for how many seconds the holder of an early lease has looked; None if unknown.
        :return: whether slots are free now that were leased.
        """
        lease = self._lease_for(reference)
        if update is LeaseUpdate.ACCEPTED:
            self.holders.forget_job(reference)
            if lease is not None:
                self._record_accepted(lease, now)
            self._handovers.record_looks(reference, looked)
        if lease is None:
            return False
        match update:
            case LeaseUpdate.REFUSED if not lease.has_slot or self._is_taken_by_other_triggerer(lease):
                self.revoke(lease)
            case LeaseUpdate.REFUSED:
                is_slot_free = self._end_earlier_refusal(lease.holder)
                lease.expires_at = now + _AFTER_REFUSAL
                lease.is_abandoned = True
                lease.emails = frozenset(lease.suggested)  # it has no job that could land elsewhere
                return is_slot_free
            case LeaseUpdate.RELEASED:
                self.revoke(lease)
        return update is LeaseUpdate.RELEASED

    def adopt(self, other: Self) -> None:
        """
        Take over copies of the open leases of another gate, and the jobs that it remembers.

        A lease that this gate has known already is not taken over again, even if it has ended here since.
        """
        copies = [lease.copy() for lease in other if (lease.original or lease) not in self._known]
        merged = sorted([*self, *copies], key=attrgetter("number"))
        self._leases.clear()
        for lease in merged:
            self.grant(lease)
        self._jobs.adopt(other._jobs)
        self._references.adopt(other._references)
        self.holders.adopt(other.holders)
        self._handovers.adopt(other._handovers)
        self._early_room.adopt(other._early_room)

    def observe(self, capacity: Capacity, now: float, poll_began: float = -math.inf) -> None:
        """
        Let each new job end the lease that is for it, and end the leases whose time is up.

        A job whose ``replyRef`` names no lease ends one slot of the oldest lease without a reference that may
        be for it. A job on an account that no lease may land on is another user's, and ends none. One whose
        account is unknown may be for any lease. Only a new snapshot ends leases: nothing is known of the
        time since the last one.

        :param poll_began: when the snapshot was asked for.
        """
        for job in capacity.executing:
            if job.id is not None and self._jobs.add(job.id, now):
                self._end_lease_of(job, now)
        self._jobs.forget_old(now)
        self._references.forget_old(now)
        self.holders.forget_old(now)
        self._leases = [lease for lease in self if not lease.is_over(now, poll_began)]
        self._keep_slots_of_early_ones(capacity, now)

    def _kept(self) -> Iterator[Lease]:
        """Yield the leases that keep slots from others."""
        return (lease for lease in self if lease.has_slot)

    def _keep_slots_of_early_ones(self, capacity: Capacity, now: float) -> None:
        """
        Let early leases, oldest first, keep the slots that have come to be free on their accounts.

        Their workers are there or about to be, so a slot is not kept for longer than any other.
        """
        spare = Counter({email_key(account.email): account.available for account in capacity.accounts})
        spare.subtract(self.suggested())
        for lease in self:
            if not lease.has_slot and all(spare[email] > 0 for email in lease.suggested):
                lease.has_slot = True
                usual_end = lease.expires_at - LONGEST_LOOK
                lease.expires_at = min(lease.expires_at, max(usual_end, now + _SHORTEST_KEPT))
                spare.subtract(lease.suggested)
        looking = (lease for lease in self if not lease.has_slot and math.isinf(lease.accepted_at))
        self._early_room.observe(capacity, Counter(email for one in looking for email in one.suggested))

    def _record_other_triggerer(self, email: str, now: float) -> None:
        """Record a job of a wait at another triggerer: it may have taken the slot of a refused job."""
        for lease in self:
            if lease.is_abandoned and lease.may_be_for(email):
                self.revoke(lease)
                return
        self._taken.append((email, now))

    def _end_earlier_refusal(self, holder: str) -> bool:
        """
        End the lease of a slot that a task instance was refused earlier, and return whether there was one.

        Its own job may be the reason, so it keeps one slot from the others and not one after another.
        """
        for lease in self:
            if holder and lease.holder == holder and lease.is_abandoned:
                self.revoke(lease)
                return True
        return False

    def _is_taken_by_other_triggerer(self, lease: Lease) -> bool:
        for email, seen_at in self._taken:
            if seen_at >= lease.granted_at and lease.may_be_for(email):
                self._taken.remove((email, seen_at))
                return True
        return False

    def _record_accepted(self, lease: Lease, now: float) -> None:
        if lease.accepted_at == math.inf:
            lease.accepted_at = now
            if lease.is_early:
                self._handovers.record_early(lease.reference, now - lease.granted_at)
                for email in lease.suggested:
                    self._early_room.record_got(email)
            else:
                self._handovers.record(now - lease.granted_at)

    def _lease_for(self, reference: str) -> Lease | None:
        """Return the lease whose holder has the job with this reference; None if unknown."""
        if not reference:
            return None
        return next((one for one in self if one.reference == reference and not one.is_abandoned), None)

    def _end_lease_of(self, job: ExecutingJob, now: float) -> None:
        reference, email = random_part_of(job.reply_ref), email_key(job.email)
        if reference not in self._references:
            if reference:
                self._record_other_triggerer(email, now)
            self._end_one_slot(email)
            return
        self.holders.forget_job(reference)
        if lease := self._lease_for(reference):
            self._record_accepted(lease, now)
            self.revoke(lease)
        self._references.add(reference, now)

    def _end_one_slot(self, email: str) -> None:
        """Let a job on this account, empty if unknown, take a slot of the oldest lease that may be for it."""
        for lease in self:
            if not lease.reference and (not email or lease.may_be_for(email)):
                lease.end_one_slot(email)
                if not lease.slots:
                    self.revoke(lease)
                return


def counted_against(counts: Counter[frozenset[str] | None], emails: AbstractSet[str]) -> int:
    """Return how many leased slots (:meth:`Leases.counts`) may turn out to be taken from these accounts."""
    return sum(slots for keys, slots in counts.items() if keys is None or not keys.isdisjoint(emails))


class SeenJobs:
    """The ids of jobs that a gate has seen; a bounded number, whatever a server lists."""

    def __init__(self) -> None:
        self._listed_at: dict[str, float] = {}  # longest ago first

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._listed_at

    def add(self, job_id: str, now: float) -> bool:
        """Record that a job is listed, and return whether it is new."""
        is_new = self._listed_at.pop(job_id, None) is None
        self._listed_at[job_id] = now
        return is_new

    def forget_old(self, now: float) -> None:
        """Forget the jobs that have not been listed for long, and those that are too many."""
        recent = [(job_id, at) for job_id, at in self._listed_at.items() if at > now - _MEMORY]
        self._listed_at = dict(recent[-_MOST_REMEMBERED:])

    def adopt(self, other: Self) -> None:
        """Remember the jobs that another gate has seen, too."""
        by_time = sorted([*self._listed_at.items(), *other._listed_at.items()], key=itemgetter(1))
        self._listed_at.clear()
        for job_id, listed_at in by_time:
            self.add(job_id, listed_at)
