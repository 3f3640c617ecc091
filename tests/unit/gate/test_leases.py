"""Leases: what ends them, and what they count against."""

import pytest

from airflow_pixverse.api.models import Capacity, ExecutingJob
from airflow_pixverse.gate.leases import Lease, Leases
from tests.unit.gate.service import A, B, C


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


def test_it_is_open_until_its_time_is_up_or_it_is_used():
    all_ = leases(lease(expires_at=100))
    assert all_.are_open(99.9)
    assert not all_.are_open(100)
    see(all_, ("1", A))
    assert not all_.are_open(0)


def test_a_revoked_lease_is_gone_and_can_be_revoked_again():
    one, other = lease(A), lease(A)
    all_ = leases(one, other)
    all_.revoke(one)
    all_.revoke(one)
    assert all_.slots == 1
    assert all_.suggested() == {A: 1}


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
    assert all_.suggested() == {A: 3, B: 1}
