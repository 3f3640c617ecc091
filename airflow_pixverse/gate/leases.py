"""Leases: slots given to a wait whose job has not shown up at the service yet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_pixverse.api.models import email_key

if TYPE_CHECKING:
    from airflow_pixverse.api.models import Capacity

# A job that is not listed for longer than this many seconds, and then is, counts as a new one.
_MEMORY = 3600.0


@dataclass(eq=False)
class Lease:
    """
    Slots that are kept from other waits.

    :param emails: keys of the accounts that the holder's jobs may land on; None for any.
    :param suggested: how many slots of each account the holder was told to use, by key.
    :param expires_at: when it ends, used or not, by the gate's clock.
    """

    emails: frozenset[str] | None
    suggested: dict[str, int]
    expires_at: float
    slots: int = field(init=False)

    def __post_init__(self) -> None:
        self.slots = sum(self.suggested.values())

    def may_land_on(self, emails: frozenset[str]) -> bool:
        """Return whether a job of the holder may take a slot of one of these accounts."""
        return self.emails is None or not self.emails.isdisjoint(emails)

    def end_one_slot(self, email: str) -> None:
        """Let a job take one of the slots: that of its account if the holder was told to use it."""
        if email not in self.suggested:
            email = max(self.suggested, key=self.suggested.__getitem__)
        self.suggested[email] -= 1
        if not self.suggested[email]:
            del self.suggested[email]
        self.slots -= 1


class Leases:
    """The leases of a gate, oldest first, and the jobs it has seen."""

    def __init__(self) -> None:
        self._leases: list[Lease] = []
        self._seen: dict[str, float] = {}

    @property
    def slots(self) -> int:
        """How many slots are leased."""
        return sum(lease.slots for lease in self._leases)

    def are_open(self, now: float) -> bool:
        """Return whether any lease has not expired."""
        return any(lease.expires_at > now for lease in self._leases)

    def grant(self, lease: Lease) -> None:
        """Add a lease, the newest."""
        self._leases.append(lease)

    def revoke(self, lease: Lease) -> None:
        """End a lease whose holder will not use it."""
        if lease in self._leases:
            self._leases.remove(lease)

    def observe(self, capacity: Capacity, now: float) -> None:
        """
        Let each job not seen before end one slot of the oldest lease that may be its; end what has expired.

        A job on an account that no lease may land on was started by somebody else, so it ends none; one whose
        account is not known may be anybody's. Only a new snapshot ends leases: what jobs did since the last
        one is not known.
        """
        for job in capacity.executing:
            if job.id is None:
                continue
            if job.id not in self._seen:
                self._end_one_slot(email_key(job.email))
            self._seen[job.id] = now
        self._seen = {job_id: at for job_id, at in self._seen.items() if at > now - _MEMORY}
        self._leases = [lease for lease in self._leases if lease.expires_at > now]

    def _end_one_slot(self, email: str) -> None:
        fitting = (lease for lease in self._leases if not email or lease.may_land_on(frozenset({email})))
        lease = next(fitting, None)
        if lease is None:
            return
        lease.end_one_slot(email)
        if not lease.slots:
            self._leases.remove(lease)

    def counted_against(self, emails: frozenset[str]) -> int:
        """Return how many leased slots may turn out to be taken from these accounts."""
        return sum(lease.slots for lease in self._leases if lease.may_land_on(emails))

    def suggested(self) -> Counter[str]:
        """Return how many slots of each account the holders were told to use, by key."""
        total: Counter[str] = Counter()
        for lease in self._leases:
            total.update(lease.suggested)
        return total
