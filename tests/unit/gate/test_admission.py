"""One decision: which waits pass, given a snapshot, the leases and the queue."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_pixverse.api.scheduler import AccountCapacity, Capacity, email_keys
from airflow_pixverse.gate.admission import admissions
from airflow_pixverse.gate.errors import GateFailedError
from airflow_pixverse.gate.leases import Lease, Leases
from airflow_pixverse.gate.waiter import Waiter, WaitRequest
from tests.unit.gate.service import A, B, C, told
from tests.unit.gate.steps import count_steps

ACCOUNTS = [A, B, C]


def capacity(*free):
    """Return a capacity with so many free slots on A, B and C, and 10 jobs that execute on each."""
    accounts = [
        AccountCapacity(email=email, executing=10, available=n)
        for email, n in zip(ACCOUNTS, free, strict=False)
    ]
    return Capacity(accounts=accounts)


def request(slots=1, *emails, kind=WaitRequest, **options):
    return kind(slots=slots, emails=frozenset(emails) or None, **options)


def queue(*requests):
    return [Waiter(one, (0.0, number), 0.0, 0.0, None, None) for number, one in enumerate(requests)]


def decide(seen, *requests, leases=None, now=0.0):
    """Return the waiters, and by their number what those who may pass are told."""
    waiters = queue(*requests)
    admitted = admissions(seen, waiters, Leases() if leases is None else leases, now)
    return waiters, {
        waiter.turn[1]: outcome if isinstance(outcome, Exception) else told(outcome)
        for waiter, outcome in admitted
    }


@pytest.mark.parametrize(
    ("free", "requests", "passing"),
    [
        # Slots are for the first in the queue, whatever the others ask for.
        ([1], [(1,), (1,)], {0}),
        ([2], [(1,), (1,), (1,)], {0, 1}),
        ([3], [(1, A), (1,), (1, A), (1,), (1, A)], {0, 1, 2}),
        ([0], [(1,), (1, A)], set()),
        ([], [(1,)], set()),
        # A lease that may land anywhere is kept on every account.
        ([1, 1], [(1,), (1,)], {0, 1}),
        ([1, 1], [(1,), (1, A), (1, B)], {0}),
        ([1, 1], [(1,), (1, A), (1,)], {0}),
        # A request for more than is free claims its accounts and no others.
        ([1, 0], [(2, A), (1, A)], set()),
        ([1, 2], [(2, A), (1, A), (1, B), (1,)], {2, 3}),
        ([1, 1, 0], [(2, A), (1, C), (1, B)], {2}),
        ([1, 1, 1], [(2, A), (2, B), (1, A), (1, B)], set()),
        ([1, 1, 1], [(2, A), (2, B), (1, A), (1, C)], {3}),
        # A request for more than its accounts have, those that others claim included, claims nothing.
        ([1], [(11, A), (1, A)], set()),
        ([1], [(12, A), (1, A)], {1}),
        ([1, 1], [(12, A), (1, A)], {1}),
        ([1], [(1, C), (1, A)], {1}),
        ([1, 1], [(2, A), (12, A, B), (1, B)], set()),
    ],
)
def test_waits_pass_by_turn_where_their_slots_are_neither_leased_nor_claimed(free, requests, passing):
    _, outcome = decide(capacity(*free), *(request(*one) for one in requests))
    assert set(outcome) == passing


def test_accounts_come_with_most_room_first_net_of_earlier_leases():
    _, outcome = decide(capacity(2, 1), *[request()] * 4)
    assert outcome == {0: [(A, 2), (B, 1)], 1: [(A, 1), (B, 1)], 2: [(B, 1)]}


def test_a_lease_stays_off_the_accounts_of_all_claims():
    waiters, _ = decide(capacity(1, 0, 1), request(2, A), request(2, B), request())
    assert (waiters[2].lease.emails, waiters[2].lease.suggested) == ({C}, {C: 1})


def test_waiters_without_leases_get_the_same_accounts_in_lists_of_their_own():
    (_, first), (_, second) = admissions(capacity(2), queue(*[request(lease=0)] * 2), Leases(), 0.0)
    assert told(first) == told(second) == [(A, 2)]
    assert first is not second


@pytest.mark.parametrize(("lease", "expires_at"), [(50, 150), (None, 220)])
def test_a_lease_expires_after_the_seconds_of_its_request(lease, expires_at):
    waiters, _ = decide(capacity(1), request(lease=lease), now=100)
    assert waiters[0].lease.expires_at == expires_at


def test_a_lease_for_a_job_of_chosen_accounts_names_only_those_it_is_to_use():
    wanted = [request(1, A, B, reference="1"), request(1, B, reference="2"), request(reference="3")]
    waiters, _ = decide(capacity(2, 1), *wanted)
    leases = [(waiter.lease.reference, waiter.lease.emails) for waiter in waiters]
    assert leases == [("1", {A}), ("2", {B}), ("3", None)]


def test_an_account_has_what_is_executing_and_available_and_not_its_max_jobs():
    seen = Capacity(accounts=[AccountCapacity(email=A, max_jobs=8, executing=0, available=5)])
    assert set(decide(seen, request(6), request(5))[1]) == {1}


class Malicious(WaitRequest):
    @property
    def lease_seconds(self):
        raise ZeroDivisionError("boom")


def test_a_decision_that_fails_ends_its_wait_only(caplog):
    leases = Leases()
    bad = request(1, A, kind=Malicious)
    waiters, outcome = decide(capacity(2), bad, bad, request(1, A), request(), leases=leases)
    assert set(outcome) == {0, 1, 2, 3}
    for number in (0, 1):
        assert isinstance(outcome[number], GateFailedError)
        assert str(outcome[number]) == "the gate failed to decide about this wait: ZeroDivisionError('boom')"
        assert waiters[number].lease is None
    assert leases.slots == 2
    assert "A decision about a wait failed, which ends this wait" in caplog.messages
    assert caplog.records[0].exc_info


requests = st.builds(
    WaitRequest,
    slots=st.integers(1, 4),
    emails=st.none() | st.sets(st.sampled_from([*ACCOUNTS, "d@example.com"])).map(email_keys),
    lease=st.sampled_from([0, 20.0]),
)
granted = st.builds(
    Lease,
    emails=st.none() | st.sets(st.sampled_from(ACCOUNTS), min_size=1).map(email_keys),
    suggested=st.dictionaries(st.sampled_from(ACCOUNTS), st.integers(1, 2), min_size=1),
    expires_at=st.just(1000.0),
).filter(lambda lease: lease.emails is None or set(lease.suggested) <= lease.emails)
accounts = st.builds(
    AccountCapacity,
    email=st.sampled_from(ACCOUNTS),
    executing=st.integers(0, 2),
    available=st.integers(0, 3),
)


def one_by_one(seen, waiting, leases):
    """The rule in its simplest form: decide about one waiter after the other, and count everything again."""
    claimed, outcome = set(), {}
    for number, wanted in enumerate(waiting):
        mine = [a for a in seen.accounts if wanted.emails is None or a.email in wanted.emails]
        chosen = frozenset(a.email for a in mine) - claimed
        may_be_taken = sum(one.slots for one in leases if one.emails is None or one.emails & chosen)
        if sum(a.available for a in mine if a.email in chosen) - may_be_taken < wanted.slots:
            if sum(a.executing + a.available for a in mine) >= wanted.slots:
                claimed |= chosen
            continue
        suggested = Counter()
        for one in leases:
            suggested.update(one.suggested)
        left = []
        for account in seen.accounts:
            gone = min(account.available, suggested[account.email])
            suggested[account.email] -= gone
            if account.email in chosen and account.available > gone:
                left.append((account.email, account.available - gone))
        left.sort(key=lambda item: -item[1])
        outcome[number] = left
        if wanted.lease:
            missing, taken = wanted.slots, Counter()
            for email, room in left:
                taken[email] += min(missing, room)
                missing -= min(missing, room)
            anywhere = wanted.emails is None and not claimed
            leases.append(Lease(None if anywhere else chosen, dict(+taken), 20.0))
    return outcome


@settings(max_examples=200, deadline=None)
@given(
    st.builds(Capacity, accounts=st.lists(accounts, max_size=4)),
    st.lists(requests, max_size=12),
    st.lists(granted, max_size=3),
)
def test_the_outcome_is_the_same_as_deciding_one_by_one(seen, waiting, before):
    leases, expected_leases = Leases(), [one.copy() for one in before]
    for one in before:
        leases.grant(one.copy())
    expected = one_by_one(seen, waiting, expected_leases)
    assert decide(seen, *waiting, leases=leases)[1] == expected
    assert [(one.emails, one.suggested) for one in leases] == [
        (one.emails, one.suggested) for one in expected_leases
    ]


def test_e_mails_of_accounts_compare_case_insensitively():
    seen = Capacity(accounts=[AccountCapacity(email=A.upper(), executing=0, available=1)])
    waiters, outcome = decide(seen, request(1, A))
    assert outcome == {0: [(A.upper(), 1)]}
    assert waiters[0].lease.suggested == {A: 1}


def test_a_decision_leaves_the_snapshot_as_it_is():
    seen = capacity(2, 1)
    decide(seen, request(2), request())
    assert told(seen.accounts) == [(A, 2), (B, 1)]


@pytest.mark.parametrize("free", [0, 1, 8])
def test_the_cost_of_a_decision_grows_with_the_waits_and_not_faster(free):
    emails = [f"account-{number}@example.com" for number in range(20)]
    seen = Capacity(accounts=[AccountCapacity(email=e, executing=0, available=free) for e in emails])
    wanted = [request(slots, *emails[first : first + 3]) for slots in (1, 2) for first in range(18)]

    def steps(waits):
        waiters = queue(*(wanted[number % len(wanted)] for number in range(waits)))
        return count_steps(lambda: list(admissions(seen, waiters, Leases(), 0.0)))

    assert steps(4000) - steps(2000) < 5 * 2000, "they ask for what was refused before"
