"""Leases: what ends them, and what they count against."""

from collections import Counter
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_pixverse.api.models import Capacity, ExecutingJob
from airflow_pixverse.gate.leases import Lease, Leases
from tests.unit.gate.service import A, B, C
from tests.unit.gate.steps import count_steps


def lease(*emails, suggested=None, expires_at=1000.0):
    if suggested is None:
        suggested = {emails[0] if emails else A: 1}
    return Lease(frozenset(emails) or None, dict(suggested), expires_at)


def leases(*granted):
    result = Leases()
    for one in granted:
        result.grant(one)
    return result


def see(leases_, *jobs, now=0.0):
    """Let the leases observe jobs, each an id and an account."""
    executing = [ExecutingJob(id=job_id, email=email) for job_id, email in jobs]
    leases_.observe(Capacity(executing=executing), now)


def test_a_lease_has_the_slots_that_were_suggested():
    assert lease(suggested={A: 2, B: 1}).slots == 3
    assert leases(lease(suggested={A: 2}), lease(suggested={B: 3})).slots == 5


def test_a_job_ends_the_oldest_lease_that_may_be_its():
    elsewhere, older, newer = lease(B), lease(A), lease(A)
    all_ = leases(elsewhere, older, newer)
    see(all_, ("1", A))
    assert (elsewhere.slots, older.slots, newer.slots) == (1, 0, 1)
    assert all_.slots == 2
    see(all_, ("1", A), ("2", A))
    assert (elsewhere.slots, newer.slots) == (1, 0)


def test_e_mails_compare_case_insensitively():
    all_ = leases(lease(A))
    see(all_, ("1", A.upper()))
    assert all_.slots == 0


def test_a_job_seen_before_ends_nothing():
    all_ = leases(lease(suggested={A: 3}))
    see(all_, ("1", A))
    see(all_, ("1", A))
    assert all_.slots == 2


def test_jobs_that_begin_before_a_lease_do_not_end_it():
    all_ = leases()
    see(all_, ("1", A))
    all_.grant(lease(A))
    see(all_, ("1", A))
    assert all_.slots == 1


def test_a_job_on_an_account_that_no_lease_may_land_on_ends_none():
    all_ = leases(lease(A), lease(B))
    see(all_, ("1", C))
    assert all_.slots == 2


@pytest.mark.parametrize("email", [None, ""])
def test_a_job_of_an_unknown_account_may_be_that_of_the_oldest(email):
    older, newer = lease(A), lease(B)
    see(leases(older, newer), ("job", email))
    assert (older.slots, newer.slots) == (0, 1)


def test_a_job_without_an_id_ends_nothing_and_hides_no_other():
    all_ = leases(lease(A), lease(B))
    see(all_, (None, A), ("1", B))
    assert all_.slots == 1


def test_a_job_without_any_lease_is_nothing_special():
    see(all_ := leases(), ("1", A), ("2", None))
    assert all_.slots == 0


def test_a_job_takes_the_slot_of_its_account_if_that_was_suggested():
    one = lease(suggested={A: 1, B: 2})
    see(leases(one), ("1", A))
    assert one.suggested == {B: 2}


def test_a_job_that_landed_elsewhere_takes_a_slot_where_most_were_suggested():
    one, other = lease(suggested={A: 1, B: 2}), lease(suggested={A: 2, B: 1})
    see(leases(one), ("1", C))
    see(leases(other), ("1", C))
    assert one.suggested == other.suggested == {A: 1, B: 1}
    assert one.slots == 2


def test_a_lease_ends_when_its_time_is_up():
    all_ = leases(lease(expires_at=100), lease(expires_at=101))
    see(all_, now=99.9)
    assert all_.slots == 2
    see(all_, now=100)
    assert all_.slots == 1


def test_it_lasts_until_its_time_is_up_or_it_is_used():
    all_ = leases(lease(expires_at=100))
    assert all_.any_lasts(99.9)
    assert not all_.any_lasts(100)
    see(all_, ("1", A))
    assert not all_.any_lasts(0)


def test_a_lease_whose_time_is_up_counts_until_the_next_snapshot():
    all_ = leases(lease(A, expires_at=100))
    assert not all_.any_lasts(101)
    assert all_.slots == all_.counted_against(frozenset({A})) == all_.suggested[A] == 1
    see(all_, now=101)
    assert all_.slots == all_.counted_against(frozenset({A})) == all_.suggested[A] == 0


def test_a_revoked_lease_is_gone_and_can_be_revoked_again():
    one, other = lease(A), lease(A)
    all_ = leases(one, other)
    all_.revoke(one)
    all_.revoke(one)
    assert all_.slots == 1
    assert all_.suggested == {A: 1}


def test_a_job_that_was_not_listed_for_an_hour_counts_as_new():
    all_ = leases(lease(A, suggested={A: 2}, expires_at=1e9))
    see(all_, ("1", A), now=0)
    see(all_, now=3599.5)
    see(all_, ("1", A), now=3599.5)
    assert all_.slots == 1
    see(all_, now=3599.5 + 3600)
    see(all_, ("1", A), now=3599.5 + 3600)
    assert all_.slots == 0


def test_a_lease_counts_against_each_account_that_it_may_land_on():
    all_ = leases(lease(suggested={A: 1}), lease(A, B, suggested={A: 2}), lease(C, suggested={C: 4}))
    assert all_.counted_against(frozenset({A})) == 3
    assert all_.counted_against(frozenset({B})) == 3
    assert all_.counted_against(frozenset({C})) == 5
    assert all_.counted_against(frozenset({A, C})) == 7
    assert all_.counted_against(frozenset({"d@example.com"})) == 1


def test_suggestions_add_up():
    all_ = leases(lease(suggested={A: 1, B: 1}), lease(suggested={A: 2}))
    assert all_.suggested == {A: 3, B: 1}


def test_what_is_adopted_counts_as_what_was_granted():
    other = leases(lease(A, suggested={A: 2}), lease(suggested={B: 1}))
    see(other, ("1", A))
    mine = leases()
    mine.adopt(other)
    assert mine.slots == 2
    assert mine.suggested == {A: 1, B: 1}
    see(mine, ("1", A))
    assert mine.slots == 2, "the other has seen this job"
    see(mine, ("2", A))
    assert (mine.slots, other.slots) == (1, 2), "they are copies"


def test_adopted_leases_keep_their_age():
    first, second, third = lease(A, suggested={A: 1}), lease(A, suggested={A: 1}), lease(A, suggested={A: 1})
    mine, other = leases(second), leases(first, third)
    mine.adopt(other)
    assert [one.number for one in mine] == [first.number, second.number, third.number]
    see(mine, ("1", A), ("2", A))
    assert [one.number for one in mine] == [third.number]
    assert (first.slots, second.slots) == (1, 0)


def test_a_lease_is_adopted_once_even_if_it_has_ended_since_and_by_whatever_way_it_comes():
    first, second, third = leases(lease(A)), leases(), leases()
    second.adopt(first)
    second.adopt(first)
    assert second.slots == 1
    third.adopt(second)
    third.adopt(first)
    first.adopt(third)
    assert (first.slots, third.slots) == (1, 1)
    see(third, ("1", A))
    third.adopt(first)
    third.adopt(second)
    assert third.slots == 0


def test_the_holder_can_still_give_its_lease_back_where_it_was_granted():
    one = lease(A)
    mine, other = leases(), leases(one)
    mine.adopt(other)
    mine.revoke(one)
    assert mine.slots == 1, "the copy is another lease"
    other.revoke(one)
    assert (mine.slots, other.slots) == (1, 0)


def test_jobs_that_two_gates_have_seen_are_remembered_from_when_either_saw_them_last():
    mine, other = leases(lease(A, suggested={A: 5}, expires_at=1e9)), leases()
    see(mine, ("1", B), ("2", B), now=0)
    see(other, ("1", B), ("3", B), now=1000)
    mine.adopt(other)
    see(mine, now=3600)
    see(mine, ("1", A), ("3", A), now=3600)
    assert mine.slots == 5
    see(mine, ("2", A), now=3600)
    assert mine.slots == 4


# What a poll costs, whatever a server lists.


def foreign_jobs(name, count=10_000):
    jobs = [ExecutingJob.model_construct(id=f"{name}-{number}", email=C) for number in range(count)]
    return Capacity.model_construct(executing=jobs)


def test_what_a_job_costs_does_not_grow_with_the_leases_of_others():
    few, many = (leases(*(lease(f"{number}@example.com") for number in range(count))) for count in (10, 1000))
    jobs = foreign_jobs("job", 500)
    assert count_steps(lambda: many.observe(jobs, 0.0)) < 1.5 * count_steps(lambda: few.observe(jobs, 0.0))
    assert many.slots == 1000


def test_what_a_poll_costs_does_not_grow_with_the_jobs_of_earlier_polls():
    all_ = leases()
    costs = [count_steps(partial(all_.observe, foreign_jobs(poll, 100), float(poll))) for poll in range(50)]
    assert costs[-1] == costs[0]


def test_the_jobs_of_the_last_snapshots_are_remembered_and_no_more():
    all_ = leases(lease(A, suggested={A: 10}, expires_at=1e9))
    for poll in range(6):
        all_.observe(foreign_jobs(poll), float(poll))
    see(all_, *[(f"{poll}-0", A) for poll in range(1, 6)], now=7.0)
    assert all_.slots == 10
    see(all_, ("0-0", A), now=7.0)
    assert all_.slots == 9, "it was forgotten, so it counts as new"
    assert len(all_._jobs._listed_at) <= 50_000


# The same in its simplest form: no index, everything counted anew.


class SimpleLeases:
    def __init__(self):
        self.leases = []
        self.seen = set()

    def observe(self, jobs, now):
        for job_id, email in jobs:
            fitting = [one for one in self.leases if not email or one.emails is None or email in one.emails]
            if job_id not in self.seen and fitting:
                fitting[0].end_one_slot(email)
            self.seen.add(job_id)
            self.leases = [one for one in self.leases if one.slots]
        self.leases = [one for one in self.leases if one.expires_at > now]

    def counted_against(self, emails):
        return sum(one.slots for one in self.leases if one.emails is None or one.emails & emails)

    def suggested(self):
        return sum((Counter(one.suggested) for one in self.leases), Counter())


emails = st.sets(st.sampled_from([A, B, C])).map(frozenset)
some_leases = st.builds(
    lambda emails, slots, expires_at: (
        emails or None,
        dict.fromkeys(sorted(emails or {A, B}), slots),
        expires_at,
    ),
    emails,
    st.integers(1, 2),
    st.sampled_from([5.0, 1000.0]),
)
jobs = st.lists(st.tuples(st.sampled_from("123456789"), st.sampled_from([A, B, C, ""])), max_size=6)
steps = st.one_of(
    st.tuples(st.just("grant"), some_leases),
    st.tuples(st.just("revoke"), st.integers(0, 9)),
    st.tuples(st.just("observe"), jobs),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=20), emails)
def test_leases_are_counted_as_if_each_was_looked_at_each_time(script, asked_for):
    all_, simple = leases(), SimpleLeases()
    granted = []
    for now, (action, what) in enumerate(script):
        if action == "grant":
            granted.append((Lease(what[0], dict(what[1]), what[2]), Lease(what[0], dict(what[1]), what[2])))
            all_.grant(granted[-1][0])
            simple.leases.append(granted[-1][1])
        elif action == "revoke" and granted:
            one, same = granted[what % len(granted)]
            all_.revoke(one)
            simple.leases = [other for other in simple.leases if other is not same]
        elif action == "observe":
            see(all_, *what, now=float(now))
            simple.observe(what, float(now))
        assert [(one.emails, one.suggested) for one in all_] == [
            (one.emails, one.suggested) for one in simple.leases
        ]
        assert all_.slots == sum(one.slots for one in simple.leases)
        assert all_.counted_against(asked_for) == simple.counted_against(asked_for)
        assert all_.suggested == simple.suggested()
    for one, _ in granted:
        all_.revoke(one)
    assert not all_._groups
    assert not all_._groups_of
