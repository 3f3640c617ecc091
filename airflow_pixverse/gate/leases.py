"""Leases: slots given to a wait whose job has not shown up at the service yet."""

from __future__ import annotations

import itertools
import math
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakSet

from airflow_pixverse.api.models import email_key
from airflow_pixverse.api.reply_ref import random_part_of
from airflow_pixverse.gate.seen_jobs import SeenJobs
from airflow_pixverse.slot_news import News

if TYPE_CHECKING:
    from airflow_pixverse.api.models import Capacity, ExecutingJob

_numbers = itertools.count()

# A slot whose job was refused stays leased for this many seconds: somebody has probably taken it on the
# website, which the service does not list, and the next one would be refused, too.
_AFTER_REFUSAL = 180.0


@dataclass(eq=False)
class Lease:
    """
    Slots that are kept from other waits.

    :param emails: keys of the accounts that the holder's jobs may land on; None for any.
    :param suggested: how many slots of each account the holder was told to use, by key.
    :param expires_at: when it ends, used or not, by the gate's clock.
    :param reference: of the holder's job; empty where it is not known.
    :param number: the lower, the older, whichever gate granted it.
    :param original: the lease of another gate that this is a copy of; None if this is none.
    :param accepted_at: when the holder said that the service has its job, by the gate's clock.
    :param is_abandoned: whether it belongs to nobody any more, so that only time ends it.
    """

    emails: frozenset[str] | None
    suggested: dict[str, int]
    expires_at: float
    reference: str = ""
    number: int = field(default_factory=lambda: next(_numbers))
    original: Lease | None = None
    accepted_at: float = math.inf
    is_abandoned: bool = False
    slots: int = field(init=False)

    def __post_init__(self) -> None:
        self.slots = sum(self.suggested.values())

    def copy(self) -> Lease:
        """Return a copy for another gate."""
        return replace(self, suggested=dict(self.suggested), original=self.original or self)

    def is_over(self, now: float, poll_began: float) -> bool:
        """Return whether its time is up, or its job was there before a poll began."""
        return self.expires_at <= now or self.accepted_at < poll_began

    def end_one_slot(self, email: str) -> str:
        """
        Let a job take one of the slots: that of its account if the holder was told to use it.

        :return: the account whose slot it is.
        """
        if email not in self.suggested:
            email = max(self.suggested, key=self.suggested.__getitem__)
        self.suggested[email] -= 1
        if not self.suggested[email]:
            del self.suggested[email]
        self.slots -= 1
        return email


@dataclass(eq=False)
class _Group:
    """
    The open leases whose jobs may land on the same accounts, and their slots together.

    :param unnamed: those of which the reference of the job is not known, oldest first.
    :param named: how many others there are.
    """

    emails: frozenset[str] | None
    unnamed: OrderedDict[int, Lease] = field(default_factory=OrderedDict)
    named: int = 0
    slots: int = 0

    @property
    def keys(self) -> Iterable[str | None]:
        """The accounts that the group is found by; None stands for any."""
        return (None,) if self.emails is None else self.emails

    @property
    def oldest(self) -> Lease | None:
        """The oldest lease that any job may end."""
        return next(iter(self.unnamed.values()), None)

    def may_land_on(self, emails: frozenset[str]) -> bool:
        """Return whether a job may take a slot of one of these accounts."""
        return self.emails is None or not self.emails.isdisjoint(emails)


class Leases:
    """
    The open leases of a gate, and the jobs it has seen.

    A lease is open from its grant until it is used or revoked, or a snapshot finds its time to be up. Every
    open lease counts, even if its time is up since the last snapshot: its job may have begun since then.

    Leases are found by account, and their slots counted as they come and go, so that neither many leases nor
    a server that lists many jobs and accounts makes a poll take long.
    """

    def __init__(self) -> None:
        # How many slots are leased.
        self.slots = 0
        # How many slots of each account the holders were told to use, by key.
        self.suggested: Counter[str] = Counter()
        self._leases: OrderedDict[int, Lease] = OrderedDict()  # oldest first
        self._groups: dict[frozenset[str] | None, _Group] = {}
        self._groups_of: dict[str | None, set[_Group]] = {}  # by account; for None, those of any account
        self._jobs = SeenJobs()
        self._by_reference: dict[str, Lease] = {}
        self._references = SeenJobs()  # of all jobs that leases were granted for
        # Originals of the leases that have been open here, as long as one of them or a copy is open anywhere.
        self._known: WeakSet[Lease] = WeakSet()

    def __iter__(self) -> Iterator[Lease]:
        """Iterate over the open leases, oldest first."""
        return iter(self._leases.values())

    def any_lasts(self, now: float) -> bool:
        """Return whether any open lease has time left: the others end at the next snapshot in any case."""
        return any(lease.expires_at > now for lease in self)

    def grant(self, lease: Lease) -> None:
        """Add a lease, the newest. It takes the place of one for the same job."""
        if not lease.is_abandoned and (former := self._by_reference.get(lease.reference)):
            self.revoke(former)
        self._known.add(lease.original or lease)
        self._leases[lease.number] = lease
        if lease.emails not in self._groups:
            self._add_group(_Group(lease.emails))
        group = self._groups[lease.emails]
        if lease.reference:
            group.named += 1
            if not lease.is_abandoned:
                self._by_reference[lease.reference] = lease
            self._references.see(lease.reference, lease.expires_at)
        else:
            group.unnamed[lease.number] = lease
        self._count(lease, lease.suggested)

    def revoke(self, lease: Lease) -> None:
        """End a lease whose holder will not use it, if it is open."""
        if self._leases.get(lease.number) is lease:
            self._count(lease, {key: -slots for key, slots in lease.suggested.items()})
            self._remove(lease)

    def tell(self, reference: str, news: News, now: float) -> bool:
        """
        Learn what became of a holder's job.

        :param reference: of the job; one that is not known is passed over.
        :param now: by the clock that leases end by.
        :return: whether slots are free now that were leased.
        """
        lease = self._by_reference.get(reference)
        if lease is None:
            return False
        match news:
            case News.ACCEPTED:
                lease.accepted_at = min(lease.accepted_at, now)
            case News.REFUSED:
                lease.expires_at = now + _AFTER_REFUSAL
                lease.is_abandoned = True
                del self._by_reference[reference]
            case News.RELEASED:
                self.revoke(lease)
        return news is News.RELEASED

    def adopt(self, other: Leases) -> None:
        """
        Take over copies of the open leases of another gate, and the jobs that it remembers.

        A lease that this gate has known already is not taken over again, even if it has ended here since.
        """
        copies = [lease.copy() for lease in other if (lease.original or lease) not in self._known]
        merged = sorted([*self, *copies], key=lambda lease: lease.number)
        for lease in list(self):
            self.revoke(lease)
        for lease in merged:
            self.grant(lease)
        self._jobs.adopt(other._jobs)
        self._references.adopt(other._references)

    def observe(self, capacity: Capacity, now: float, poll_began: float = -math.inf) -> None:
        """
        Let each job not seen before end the lease that is for it, and end what has expired.

        If its ``replyRef`` tells no lease, it ends one slot of the oldest lease of an unknown job that may be
        its. A job on an account that no lease may land on was started by somebody else, so it ends none; one
        whose account is not known may be anybody's. Only a new snapshot ends leases: what jobs did since the
        last one is not known.

        :param poll_began: when the snapshot was asked for.
        """
        for job in capacity.executing:
            if job.id is not None and self._jobs.see(job.id, now):
                self._end_lease_of(job, now)
        self._jobs.forget_old(now)
        self._references.forget_old(now)
        for lease in [lease for lease in self if lease.is_over(now, poll_began)]:
            self.revoke(lease)

    def counted_against(self, emails: frozenset[str]) -> int:
        """Return how many leased slots may turn out to be taken from these accounts."""
        return sum(group.slots for group in self._groups_on(emails))

    def _groups_on(self, emails: frozenset[str]) -> Iterable[_Group]:
        """Return the groups whose jobs may land on one of these accounts, in the quicker of two ways."""
        if len(emails) < len(self._groups):
            by_account = [self._groups_of[key] for key in (None, *emails) if key in self._groups_of]
            if sum(map(len, by_account)) < len(self._groups):
                return set[_Group]().union(*by_account)
        return (group for group in self._groups.values() if group.may_land_on(emails))

    def _end_lease_of(self, job: ExecutingJob, now: float) -> None:
        reference = random_part_of(job.reply_ref)
        if lease := self._by_reference.get(reference):
            self.revoke(lease)
        elif reference not in self._references:
            self._end_one_slot(email_key(job.email))
            return
        self._references.see(reference, now)

    def _end_one_slot(self, email: str) -> None:
        lease = self._oldest_for(email)
        if lease is None:
            return
        self._count(lease, {lease.end_one_slot(email): -1})
        if not lease.slots:
            self._remove(lease)

    def _oldest_for(self, email: str) -> Lease | None:
        """Return the oldest lease that any job on this account may end; on any account for ""."""
        groups: Iterable[_Group] = self._groups.values()
        if email:
            groups = itertools.chain(self._groups_of.get(email, ()), self._groups_of.get(None, ()))
        oldest = (group.oldest for group in groups)
        return min((lease for lease in oldest if lease), key=lambda lease: lease.number, default=None)

    def _count(self, lease: Lease, slots: Mapping[str, int]) -> None:
        """Count more slots as leased, or less, by account."""
        for key, number in slots.items():
            self.slots += number
            self._groups[lease.emails].slots += number
            self.suggested[key] += number
            if not self.suggested[key]:
                del self.suggested[key]

    def _remove(self, lease: Lease) -> None:
        del self._leases[lease.number]
        group = self._groups[lease.emails]
        if lease.reference:
            group.named -= 1
            if not lease.is_abandoned:
                del self._by_reference[lease.reference]
        else:
            del group.unnamed[lease.number]
        if not (group.unnamed or group.named):
            self._remove_group(group)

    def _add_group(self, group: _Group) -> None:
        self._groups[group.emails] = group
        for key in group.keys:
            self._groups_of.setdefault(key, set()).add(group)

    def _remove_group(self, group: _Group) -> None:
        del self._groups[group.emails]
        for key in group.keys:
            self._groups_of[key].remove(group)
            if not self._groups_of[key]:
                del self._groups_of[key]
