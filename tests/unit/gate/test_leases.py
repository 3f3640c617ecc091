"""Leases: their end, and the accounts that they count against."""

from collections import Counter
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_pixverse.api.scheduler import Capacity, ExecutingJob
from airflow_pixverse.gate.lease_update import LeaseUpdate
from airflow_pixverse.gate.leases import Lease, Leases, counted_against
from tests.unit.gate.service import A, B, C


def lease(*emails, reference="", suggested=None, expires_at=1000.0):
    if suggested is None:
        suggested = {emails[0] if emails else A: 1}
    return Lease(frozenset(emails) or None, dict(suggested), expires_at, reference)


def leases(*granted):
    result = Leases()
    for one in granted:
        result.grant(one)
    return result


def see(leases_, *jobs, now=0.0, **kwargs):
    """Let the leases observe jobs, each an id, an account and perhaps a replyRef."""
    fields = ("id", "email", "reply_ref")
    executing = [ExecutingJob(**dict(zip(fields, job, strict=False))) for job in jobs]
    leases_.observe(Capacity(executing=executing), now, **kwargs)


def against(leases_, *emails):
    """Return how many leased slots count against these accounts."""
    return counted_against(leases_.counts(), frozenset(emails))


@pytest.mark.parametrize("email", [None, "", A.upper()])
def test_a_job_ends_the_oldest_lease_that_may_be_for_it(email):
    older, newer = lease(A), lease(B)
    all_ = leases(older, newer)
    assert all_.slots == 2
    see(all_, ("job", email))
    assert list(all_) == [newer]


def test_a_job_without_an_id_ends_no_lease_and_hides_no_other():
    all_ = leases(lease(A), lease(B))
    see(all_, (None, A), ("1", B))
    assert all_.slots == 1


@pytest.mark.parametrize("reference", [None, "", "another's", "another's#other", "one"])
def test_a_job_of_another_reference_ends_no_lease_for_a_job(reference):
    all_ = leases(lease(A, reference="one"), lease(A))
    see(all_, ("1", A, reference), ("2", A, reference))
    assert [one.reference for one in all_] == ["one"]


@pytest.mark.parametrize(
    ("email", "suggested", "left"),
    [
        (A, {A: 1, B: 2}, {B: 2}),
        # It landed elsewhere, and takes a slot where most were suggested.
        (C, {A: 1, B: 2}, {A: 1, B: 1}),
        (C, {A: 2, B: 1}, {A: 1, B: 1}),
    ],
)
def test_a_job_takes_one_slot_of_a_lease_for_several(email, suggested, left):
    one = lease(suggested=suggested)
    see(leases(one), ("1", email))
    assert (one.suggested, one.slots) == (left, 2)


def test_a_lease_has_time_left_until_it_expires_or_is_used():
    all_ = leases(lease(expires_at=100), lease(expires_at=101))
    assert all_.any_lasts(100.9)
    assert not all_.any_lasts(101)
    for now, slots in ((99.9, 2), (100, 1), (101, 0)):
        see(all_, now=now)
        assert all_.slots == slots
    see(used := leases(lease()), ("1", A))
    assert not used.any_lasts(0)


def test_an_accepted_job_ends_its_lease_with_the_next_poll_whether_it_is_listed_or_not():
    all_ = leases(lease(A, reference="one"))
    for told_at in (10.0, 11.5):  # a trigger that is started again tells it again
        assert not all_.update_lease("one", LeaseUpdate.ACCEPTED, told_at)
    # The first poll began before, so it may not have seen the job, nor may one of the same moment.
    for now, poll_began, slots in ((11.0, 9.0, 1), (12.0, 10.0, 1), (13.0, 11.0, 0)):
        see(all_, now=now, poll_began=poll_began)
        assert all_.slots == slots


def test_a_refused_job_leaves_its_slot_leased_for_three_minutes_whatever_else_happens():
    all_ = leases(lease(A, reference="one", expires_at=20.0))
    assert not all_.update_lease("one", LeaseUpdate.REFUSED, 10.0)
    (copies := leases()).adopt(all_)
    for each in (all_, copies):
        for update in LeaseUpdate:
            assert not each.update_lease("one", update, 100.0)
        see(each, ("1", A, "x#one"), ("2", A, None), now=189.0, poll_began=188.0)
        assert each.slots == 1
        see(each, now=190.0)
        assert each.slots == 0


def test_refusal_of_a_job_that_might_have_gone_anywhere_keeps_a_slot_of_one_account():
    """Or a wait for the other account would stand idle behind it."""
    all_ = leases(lease(reference="refused"))
    assert against(all_, B) == 1
    all_.update_lease("refused", LeaseUpdate.REFUSED, 10.0)
    assert (against(all_, A), against(all_, B)) == (1, 0)


def test_slot_that_is_kept_after_a_refusal_is_nobodys_turn():
    all_ = leases(lease(A, reference="refused"), lease(A, reference="next"), lease(B, reference="other"))
    all_.update_lease("refused", LeaseUpdate.REFUSED, 10.0)
    assert (all_.ahead_on(A), all_.refused_on(A), all_.refused_on(B)) == (["next"], 1, 0)


@pytest.mark.parametrize(("holder", "slots"), [("task", 1), ("", 3)], ids=["one task", "unknown tasks"])
def test_a_task_that_is_refused_again_and_again_keeps_one_slot_from_others(holder, slots):
    all_ = leases()
    for number in range(3):
        all_.grant(replace(lease(A, reference=f"{number}"), holder=holder))
        is_slot_free = all_.update_lease(f"{number}", LeaseUpdate.REFUSED, 10.0 * number)
        assert is_slot_free is (bool(holder) and number > 0)
    assert all_.slots == slots
    see(all_, now=20.0 + 179)
    assert all_.slots >= 1, "the last one is kept for its three minutes"


def test_a_job_that_was_not_listed_for_an_hour_counts_as_new():
    all_ = leases(lease(A, suggested={A: 2}, expires_at=1e9))
    see(all_, ("1", A), now=0)
    see(all_, now=3599.5)
    see(all_, ("1", A), now=3599.5)
    assert all_.slots == 1
    see(all_, now=3599.5 + 3600)
    see(all_, ("1", A), now=3599.5 + 3600)
    assert all_.slots == 0


def test_the_jobs_of_the_last_five_snapshots_are_remembered_and_no_more():
    all_ = leases(lease(A, suggested={A: 10}, expires_at=1e9))
    for poll in range(6):
        jobs = [ExecutingJob.model_construct(id=f"{poll}-{number}", email=C) for number in range(2000)]
        all_.observe(Capacity.model_construct(executing=jobs), float(poll))
    see(all_, *[(f"{poll}-0", A) for poll in range(1, 6)], now=7.0)
    assert all_.slots == 10
    see(all_, ("0-0", A), now=7.0)
    assert all_.slots == 9, "it was forgotten, so it counts as new"


def test_adopted_leases_are_copies_and_the_jobs_that_were_seen_end_none():
    one, two = lease(A, suggested={A: 2}), lease(suggested={B: 1})
    mine, other = leases(), leases(one, two)
    see(other, ("1", A))
    mine.adopt(other)
    see(mine, ("1", A))
    assert (mine.slots, mine.suggested()) == (2, {A: 1, B: 1})
    see(mine, ("2", A))
    assert (mine.slots, other.slots) == (1, 2)
    mine.revoke(two)
    assert mine.slots == 1
    other.revoke(two)
    assert other.slots == 1


def test_adopted_leases_keep_their_age():
    first, second, third = lease(A), lease(A), lease(A)
    mine = leases(second)
    mine.adopt(leases(first, third))
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


def test_a_gate_that_adopts_leases_knows_their_references():
    first, second = (
        leases(lease(A, reference="one", expires_at=5.0), lease(A, reference="two")),
        leases(lease(A)),
    )
    see(first, now=6.0)
    second.adopt(first)
    see(second, ("1", A, "x#one"), ("2", A, "x#two"), now=7.0)
    assert [one.reference for one in second] == [""]


class SimpleLeases:
    """The rules in their simplest form, with everything that was ever seen remembered."""

    def __init__(self):
        self.open = []
        self.jobs, self.references = set(), set()
        self.taken = []  # by jobs of other triggerers: account and time

    def grant(self, one):
        if one.reference:
            self.open = [other for other in self.open if self._holder(other) != one.reference]
            self.references.add(one.reference)
        self.open.append(one)

    def update_lease(self, reference, update, now):
        for one in [one for one in self.open if reference and self._holder(one) == reference]:
            match update:
                case LeaseUpdate.ACCEPTED:
                    one.accepted_at = min(one.accepted_at, now)
                case LeaseUpdate.REFUSED:
                    taken = [by for by in self.taken if by[1] >= one.granted_at and self._fits(one, by[0])]
                    if taken:
                        self.taken.remove(taken[0])
                        self.open.remove(one)
                    one.expires_at, one.is_abandoned = now + 180, True
                case LeaseUpdate.RELEASED:
                    self.open.remove(one)
                    return True
        return False

    def observe(self, jobs, now, poll_began):
        for job_id, email, reference in jobs:
            if job_id in self.jobs:
                continue
            self.jobs.add(job_id)
            fits = [one for one in self.open if not one.reference and (not email or self._fits(one, email))]
            if reference and reference not in self.references:
                locked = [one for one in self.open if one.is_abandoned and self._fits(one, email)]
                if locked:
                    self.open.remove(locked[0])
                    fits = [one for one in fits if one is not locked[0]]
                else:
                    self.taken.append((email, now))
            if reference in self.references:
                self.open = [one for one in self.open if self._holder(one) != reference]
            elif fits:
                fits[0].end_one_slot(email)
            self.open = [one for one in self.open if one.slots]
        self.open = [one for one in self.open if not one.is_over(now, poll_began)]

    @staticmethod
    def _fits(one, email):
        return one.emails is None or email in one.emails

    @staticmethod
    def _holder(one):
        return "" if one.is_abandoned else one.reference


references = st.sampled_from(["", "", "one", "two"])
some_leases = st.builds(
    lambda emails, slots, reference, seconds: lease(
        *emails,
        suggested=dict.fromkeys(emails or [A, B], slots),
        reference=reference,
        expires_at=seconds,
    ),
    st.sampled_from([[], [A], [B], [A, B], [C]]),
    st.integers(1, 2),
    references,
    st.integers(0, 300),
)
jobs = st.tuples(
    st.sampled_from("123456789"), st.sampled_from([A, B, C, ""]), references | st.just("foreign")
)
steps = st.one_of(
    st.tuples(st.just("grant"), some_leases),
    st.tuples(st.just("revoke"), st.integers(0, 9)),
    st.tuples(st.just("update"), st.tuples(references, st.sampled_from(LeaseUpdate))),
    st.tuples(st.just("observe"), st.tuples(st.lists(jobs, max_size=4), st.integers(0, 60))),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=25))
def test_leases_end_as_the_simplest_form_of_the_rules_says(script):
    all_, simple = leases(), SimpleLeases()
    granted = []
    for step, (action, what) in enumerate(script):
        now = 30.0 * step
        if action == "grant":
            one = deepcopy(what)
            one.number, one.expires_at, one.granted_at = step, now + what.expires_at, now
            granted.append((one, deepcopy(one)))
            all_.grant(granted[-1][0])
            simple.grant(granted[-1][1])
        elif action == "revoke" and granted:
            one, same = granted[what % len(granted)]
            all_.revoke(one)
            simple.open = [other for other in simple.open if other is not same]
        elif action == "update":
            assert all_.update_lease(*what, now) is simple.update_lease(*what, now)
        elif action == "observe":
            seen, ago = what
            shown = [(job_id, email, f"x#{reference}") for job_id, email, reference in seen]
            see(all_, *shown, now=now, poll_began=now - ago)
            simple.observe(seen, now, now - ago)
        assert [(one.number, one.suggested) for one in all_] == [
            (one.number, one.suggested) for one in simple.open
        ]
        assert all_.slots == sum(one.slots for one in simple.open)
        assert against(all_, A, C) == sum(
            one.slots for one in simple.open if one.emails is None or one.emails & {A, C}
        )
        assert all_.suggested() == sum((Counter(one.suggested) for one in simple.open), Counter())
