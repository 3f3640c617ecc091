"""Admission: which waits may pass, given a snapshot, the leases and the queue."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from operator import attrgetter

from airflow_pixverse.api.scheduler import AccountCapacity, Capacity, email_key
from airflow_pixverse.gate.awaited_job import LONGEST_LOOK, AwaitedJob
from airflow_pixverse.gate.errors import GateFailedError
from airflow_pixverse.gate.forecast import Forecast
from airflow_pixverse.gate.leases import Lease, Leases, counted_against
from airflow_pixverse.gate.waiter import Waiter

log = logging.getLogger(__name__)


def admissions(
    capacity: Capacity,
    waiters: Iterable[Waiter],
    leases: Leases,
    now: float,
    forecast: Forecast | None = None,
) -> Iterator[tuple[Waiter, list[AccountCapacity] | GateFailedError]]:
    """
    Yield the waiters that may pass, with the accounts that have room for each, and grant their leases.

    Strictly by turn. A waiter that asks for more than is free has a claim on all its accounts: those behind
    it get none of their slots, but may use other accounts. One that asks for more than its accounts have in
    all claims nothing. A waiter whose decision fails is yielded with an error, and the others go on.

    A waiter whose one slot is expected within the time that a worker takes to use it passes early: Airflow's
    way through a worker overlaps with the job that is about to end.

    :param waiters: by turn; they must not change in the meantime.
    :param now: by the clock that leases end by.
    :param forecast: tells which jobs are about to end; None for no early admissions.
    """
    decision = _Decision(capacity, leases, now, forecast or Forecast())
    # While slots are only taken, a request that was refused once is refused again.
    refused: set[tuple[int, frozenset[str] | None, bool]] = set()
    for waiter in waiters:
        request = waiter.request
        if (kind := (request.slots, request.emails, waiter.can_pass_early)) in refused:
            continue
        try:
            accounts = decision.admit(waiter)
        except Exception as error:
            log.exception("A decision about a wait failed, which ends this wait")
            yield waiter, GateFailedError(f"the gate failed to decide about this wait: {error!r}")
            continue
        if accounts:
            yield waiter, accounts
        else:
            refused.add(kind)


class _Decision:
    """The slots that are left at some point of a decision, by account."""

    def __init__(self, capacity: Capacity, leases: Leases, now: float, forecast: Forecast) -> None:
        self._leases = leases
        self._now = now
        self._forecast = forecast
        forecast.wanted = set()
        handover = leases.handover
        self._ending = forecast.ending(now, handover) if handover else []
        self._leased = leases.counts()
        self._claimed: set[str] = set()
        self._available: Counter[str] = Counter()
        self._total: Counter[str] = Counter()
        # In the API's order, less the slots that holders of leases were told to use.
        self._left = [(email_key(account.email), account) for account in capacity.accounts]
        for key, account in self._left:
            self._available[key] += account.available
            self._total[key] += account.total
        self._listed = frozenset(self._available)
        self._early_room = leases.early_room(self._total)
        self._take(leases.suggested())

    def admit(self, waiter: Waiter) -> list[AccountCapacity]:
        """Return the accounts that have room for a waiter, after granting its lease; empty if refused."""
        request = waiter.request
        listed = self._listed if request.emails is None else request.emails & self._listed
        chosen = listed - self._claimed
        # A lease may land on an account that its holder was not told to use: the slot is kept there too.
        free = sum(map(self._available.__getitem__, chosen)) - counted_against(self._leased, chosen)
        if free < request.slots:
            if waiter.can_pass_early:
                if end := self._next_end(chosen):
                    return self._lease_early(waiter, *end)
                self._forecast.wanted |= {key for key in chosen if self._early_room[key] > 0}
            if sum(self._total[key] for key in listed) >= request.slots:
                self._claimed |= chosen
            return []
        with_room = [account for key, account in self._left if account.available and key in chosen]
        with_room.sort(key=attrgetter("available"), reverse=True)
        if request.lease_seconds:
            self._lease(waiter, chosen, with_room)
        return with_room

    def _next_end(self, emails: frozenset[str]) -> tuple[str, str, list[str]] | None:
        """Return the next job to end on these accounts, its account, and who is ahead; None if none is."""
        for job_id, email in self._ending:
            has_room = email in emails and self._early_room[email] > 0
            if has_room and (ahead := self._leases.ahead_on(email)) is not None:
                return job_id, email, ahead
        return None

    def _lease_early(
        self, waiter: Waiter, job_id: str, email: str, ahead: list[str]
    ) -> list[AccountCapacity]:
        self._ending.remove((job_id, email))
        self._forecast.use(job_id)
        self._early_room[email] -= 1
        waiter.ahead = ahead
        usual, refused = self._forecast.usual_seconds(job_id), self._leases.refused_on(email)
        waiter.awaited = AwaitedJob(job_id, usual, refused)
        expires_at = self._now + LONGEST_LOOK + waiter.request.lease_seconds
        lease = waiter.lease = Lease(
            emails=frozenset({email}),
            suggested={email: 1},
            expires_at=expires_at,
            reference=waiter.request.reference,
            granted_at=self._now,
            awaited=job_id,
            has_slot=False,
            holder=waiter.request.holder,
        )
        self._leases.grant(lease)
        return [account for key, account in self._left if key == email]

    def _lease(self, waiter: Waiter, chosen: frozenset[str], with_room: list[AccountCapacity]) -> None:
        request = waiter.request
        suggested = _suggestion(with_room, request.slots)
        emails: frozenset[str] | None = chosen
        if request.emails is None and not self._claimed:
            emails = None
        elif request.emails is not None and request.reference:
            emails = frozenset(suggested)  # its job will not land elsewhere
        expires_at = self._now + request.lease_seconds
        lease = waiter.lease = Lease(
            emails, dict(suggested), expires_at, request.reference, self._now, holder=request.holder
        )
        self._leases.grant(lease)
        self._leased[emails] += lease.slots
        self._take(suggested)

    def _take(self, suggested: Counter[str]) -> None:
        """Take slots away, from copies of the accounts."""
        taken = suggested.copy()
        for place, (key, account) in enumerate(self._left):
            if key in taken:
                slots = min(account.available, taken[key])
                taken[key] -= slots
                less = account.model_copy(update={"available": account.available - slots})
                self._left[place] = key, less


def _suggestion(accounts: list[AccountCapacity], slots: int) -> Counter[str]:
    """Return which slots to suggest: those of the accounts with most room, which come first."""
    suggested: Counter[str] = Counter()
    for account in accounts:
        if not slots:
            break
        take = min(slots, account.available)
        suggested[email_key(account.email)] += take
        slots -= take
    return suggested
