"""Who may pass: one decision, given a snapshot, the leases and the queue."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_pixverse.api.models import AccountCapacity, Capacity, email_keys
from airflow_pixverse.gate import GateFailedError, Waiter, WaitRequest
from airflow_pixverse.gate.admission import admissions
from airflow_pixverse.gate.leases import Lease, Leases
from airflow_pixverse.gate.queues import Queue
from airflow_pixverse.gate.snapshot import Snapshot
from tests.unit.gate.service import A, B, C, told
from tests.unit.gate.steps import count_steps

ACCOUNTS = [A, B, C]


def capacity(**free):
    """Return a capacity with so many free slots on each account, and 10 jobs that execute on each."""
    emails = dict(zip("abc", ACCOUNTS, strict=True))
    accounts = [AccountCapacity(email=emails[key], executing=10, available=n) for key, n in free.items()]
    return Capacity(accounts=accounts)


def request(slots=1, *emails, lease=None, kind=WaitRequest):
    return kind(slots=slots, emails=frozenset(emails) or None, lease=lease)


def decide(seen, *requests, leases=None, now=0.0):
    """Return the waiters, and by their number what those who may pass are told."""
    waiters = [Waiter(one, (0.0, number), 0.0, 0.0, None, None) for number, one in enumerate(requests)]
    queue = Queue()
    for waiter in random.sample(waiters, len(waiters)):
        queue.add(waiter)
    admitted = admissions(Snapshot(seen), queue.lines, Leases() if leases is None else leases, now)
    return waiters, {
        waiter.turn[1]: outcome if isinstance(outcome, Exception) else told(outcome)
        for waiter, outcome in admitted
    }


def passed(seen, *requests, leases=None):
    return set(decide(seen, *requests, leases=leases)[1])


def test_one_slot_is_for_the_first_in_the_queue():
    assert passed(capacity(a=1), request(), request()) == {0}
    assert passed(capacity(a=2), request(), request(), request()) == {0, 1}


def test_lines_of_different_requests_are_merged_by_turn():
    mixed = [request(1, A), request(), request(1, A), request(), request(1, A)]
    assert passed(capacity(a=3), *mixed) == {0, 1, 2}


def test_nothing_free_admits_nobody():
    assert passed(capacity(a=0), request(), request(1, A)) == set()
    assert passed(Capacity(), request()) == set()


def test_everybody_is_told_the_accounts_with_most_room_first_net_of_earlier_leases():
    _, outcome = decide(capacity(a=2, b=1), *[request()] * 4)
    assert outcome == {0: [(A, 2), (B, 1)], 1: [(A, 1), (B, 1)], 2: [(B, 1)]}


def test_the_accounts_of_one_waiter_are_its_own():
    seen = capacity(a=2)
    _, outcome = decide(seen, request(lease=0), request(lease=0))
    assert outcome == {0: [(A, 2)], 1: [(A, 2)]}
    queue = Queue()
    for number in range(2):
        queue.add(Waiter(request(lease=0), (0.0, number), 0.0, 0.0, None, None))
    (_, first), (_, second) = admissions(Snapshot(seen), queue.lines, Leases(), 0.0)
    assert first is not second


def test_without_a_lease_nothing_is_taken():
    leases = Leases()
    waiters, outcome = decide(capacity(a=1), *[request(lease=0)] * 5, leases=leases)
    assert len(outcome) == 5
    assert leases.slots == 0
    assert waiters[0].lease is None


def test_a_lease_names_its_accounts_and_its_end():
    leases = Leases()
    waiters, _ = decide(capacity(a=2, b=3), request(4, lease=50), request(1, A), leases=leases, now=100)
    anywhere, pinned = (waiter.lease for waiter in waiters)
    assert (anywhere.emails, anywhere.suggested, anywhere.expires_at) == (None, {B: 3, A: 1}, 150)
    assert pinned is None, "the other may land on this account"
    assert leases.slots == 4

    waiters, _ = decide(capacity(a=1, b=3), request(2, A, B), request(1, B), now=7)
    assert waiters[0].lease.emails == {A, B}
    assert waiters[0].lease.suggested == {B: 2}
    assert waiters[0].lease.expires_at == 127
    assert waiters[1].lease.suggested == {B: 1}


def test_slots_of_an_account_that_is_listed_twice_are_leased_together():
    twice = Capacity(accounts=[AccountCapacity(email=A, executing=0, available=1) for _ in range(2)])
    waiters, outcome = decide(twice, request(2), request())
    assert outcome == {0: [(A, 1), (A, 1)]}
    assert waiters[0].lease.suggested == {A: 2}


def test_leases_granted_before_count():
    leases = Leases()
    leases.grant(Lease(None, {A: 1}, 1000.0))
    assert passed(capacity(a=1, b=0), request(1, A), leases=leases) == set()
    assert passed(capacity(a=1, b=1), request(), request(), leases=leases) == {0}


def test_a_lease_that_may_land_anywhere_is_kept_on_every_account():
    assert passed(capacity(a=1, b=1), request(), request(1, A), request(1, B)) == {0}
    assert passed(capacity(a=1, b=1), request(), request(1, A), request()) == {0}
    assert passed(capacity(a=1, b=1), request(), request()) == {0, 1}


def test_who_asks_for_more_than_is_free_claims_its_accounts_and_no_others():
    large, other, anybody = request(2, A), request(1, B), request()
    assert passed(capacity(a=1, b=0), large, request(1, A)) == set()
    assert passed(capacity(a=1, b=2), large, request(1, A), other, anybody) == {2, 3}


def test_claims_add_up():
    assert (
        passed(capacity(a=1, b=1, c=1), request(2, A), request(2, B), request(1, A), request(1, B)) == set()
    )
    assert passed(capacity(a=1, b=1, c=1), request(2, A), request(2, B), request(1, A), request(1, C)) == {3}


def test_a_lease_stays_off_the_accounts_of_all_claims():
    waiters, _ = decide(capacity(a=1, b=1, c=1), request(2, A), request(2, B), request())
    assert waiters[2].lease.emails == {C}


def test_a_lease_beside_a_claim_stays_off_the_claimed_accounts():
    waiters, outcome = decide(capacity(a=1, b=2), request(2, A), request())
    assert outcome == {1: [(B, 2)]}
    assert waiters[1].lease.emails == {B}


def test_a_claim_on_a_full_account_counts_too():
    waiters, _ = decide(capacity(a=0, b=2), request(1, A), request())
    assert waiters[1].lease.emails == {B}


def test_who_asks_for_more_than_there_is_in_all_claims_nothing():
    assert passed(capacity(a=1), request(12, A), request(1, A)) == {1}
    assert passed(capacity(a=1), request(11, A), request(1, A)) == set()
    assert passed(capacity(a=1), request(1, C), request(1, A)) == {1}
    assert passed(capacity(a=1, b=1), request(12, A), request(1, A)) == {1}


def test_what_is_executing_and_not_max_jobs_is_what_an_account_has():
    seen = Capacity(accounts=[AccountCapacity(email=A, max_jobs=8, executing=0, available=5)])
    assert passed(seen, request(6), request(5)) == {1}


def test_after_a_refusal_those_who_ask_for_less_elsewhere_still_pass():
    assert passed(capacity(a=1, b=1, c=0), request(2, A), request(1, C), request(1, B)) == {2}


class Malicious(WaitRequest):
    @property
    def lease_seconds(self):
        raise ZeroDivisionError("boom")


def test_an_error_in_one_decision_ends_that_wait_only(caplog):
    leases = Leases()
    bad = request(1, A, kind=Malicious)
    waiters, outcome = decide(capacity(a=2), bad, bad, request(1, A), request(), leases=leases)
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
accounts = st.lists(
    st.builds(
        AccountCapacity,
        email=st.sampled_from(ACCOUNTS),
        executing=st.integers(0, 2),
        available=st.integers(0, 3),
    ),
    max_size=4,
)


def one_by_one(seen, waiting, leases):
    """The rule in its simplest form: decide about one waiter after the other, and count everything anew."""
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
@given(st.builds(Capacity, accounts=accounts), st.lists(requests, max_size=12), st.lists(granted, max_size=3))
def test_the_outcome_is_the_same_as_deciding_one_by_one(seen, waiting, before):
    leases = Leases()
    for one in before:
        leases.grant(Lease(one.emails, dict(one.suggested), 1000.0))
    expected_leases = [Lease(one.emails, dict(one.suggested), 1000.0) for one in before]
    expected = one_by_one(seen, waiting, expected_leases)
    assert decide(seen, *waiting, leases=leases)[1] == expected
    assert [(one.emails, one.suggested) for one in leases] == [
        (one.emails, one.suggested) for one in expected_leases
    ]


@pytest.mark.parametrize("emails", ["of one account", "of three accounts"])
def test_what_an_admission_costs_does_not_grow_with_accounts_and_leases(emails):
    def steps_to_admit(waits):
        accounts = [f"account-{number}@example.com" for number in range(waits)]
        queue = Queue()
        for number in range(waits):
            mine = accounts[number : number + (3 if emails == "of three accounts" else 1)]
            queue.add(Waiter(request(1, *mine), (0.0, number), 0.0, 0.0, None, None))
        seen = Snapshot(
            Capacity(accounts=[AccountCapacity(email=e, executing=0, available=9) for e in accounts])
        )
        admitted = []
        steps = count_steps(lambda: admitted.extend(admissions(seen, queue.lines, Leases(), 0.0)))
        assert len(admitted) == waits
        return steps

    assert steps_to_admit(400) < 5 * steps_to_admit(100)


def test_among_many_accounts_too_the_chosen_ones_are_told_with_most_room_first():
    emails = [f"account-{number}@example.com" for number in range(50)]
    accounts = [AccountCapacity(email=e, executing=0, available=n % 4) for n, e in enumerate(emails)]
    seen = Capacity(accounts=[*accounts, accounts[7]])
    chosen = [emails[number] for number in (4, 5, 7, 9, 6)]
    _, outcome = decide(seen, request(4, *chosen), request(1, *chosen))
    first = [(emails[7], 3), (emails[7], 3), (emails[6], 2), (emails[5], 1), (emails[9], 1)]
    after = [(emails[6], 2), (emails[7], 2), (emails[5], 1), (emails[9], 1)]
    assert outcome == {0: first, 1: after}


def test_of_a_thousand_accounts_only_that_of_the_lease_is_counted_anew():
    accounts = [f"account-{number}@example.com" for number in range(1000)]
    seen = Capacity(accounts=[AccountCapacity(email=e, executing=0, available=2) for e in accounts])
    copies = []

    class Counting(Snapshot):
        def account_less(self, key, taken):
            copies.append(key)
            return super().account_less(key, taken)

    queue = Queue()
    for number in range(50):
        queue.add(Waiter(request(), (0.0, number), 0.0, 0.0, None, None))
    admitted = list(admissions(Counting(seen), queue.lines, Leases(), 0.0))
    assert [len(told_accounts) for _, told_accounts in admitted] == [1000] * 50
    assert copies == [*accounts, *accounts[:50]]


@pytest.mark.parametrize("free", [0, 1])
def test_a_decision_looks_at_the_heads_of_the_lines_only(free):
    """Whether a slot is free or not, of thousands who ask for the same only the first few are looked at."""
    looks = []

    class Line(list):
        def __getitem__(self, index):
            looks.append(index)
            return super().__getitem__(index)

    wanted = request(1, A)
    line = Line(Waiter(wanted, (0.0, number), 0.0, 0.0, None, None) for number in range(5000))
    admitted = list(admissions(Snapshot(capacity(a=free, b=1)), [line], Leases(), 0.0))
    assert len(admitted) == free
    assert set(looks) <= {0, 1}
    looks.clear()
    assert list(admissions(Snapshot(capacity(a=0, b=0)), [line], Leases(), 0.0)) == []
    assert looks == []
