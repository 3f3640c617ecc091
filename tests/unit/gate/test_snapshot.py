"""A capacity in plain numbers."""

import pytest

from airflow_pixverse.api.models import AccountCapacity, Capacity
from airflow_pixverse.gate.snapshot import Snapshot
from tests.unit.gate.service import A, B, C, told


def snapshot(*accounts):
    return Snapshot(
        Capacity(
            accounts=[
                AccountCapacity(email=email, executing=executing, available=available)
                for email, executing, available in accounts
            ]
        )
    )


def test_it_knows_the_free_slots_of_each_account():
    seen = snapshot((A, 1, 2), (B, 0, 0))
    assert seen.available == {A: 2, B: 0}
    assert seen.free_slots({A, B}) == 2
    assert seen.free_slots({B}) == 0


def test_only_accounts_that_are_listed_can_be_chosen():
    seen = snapshot((A, 1, 2), (B, 0, 0))
    assert seen.chosen(None) == {A, B}
    assert seen.chosen(frozenset({A, C})) == {A}
    assert seen.chosen(frozenset()) == frozenset()


def test_e_mails_compare_case_insensitively():
    seen = snapshot((A.upper(), 0, 1))
    assert seen.chosen(frozenset({A})) == {A}


def test_too_large_is_what_the_chosen_accounts_could_not_hold_if_they_were_empty():
    seen = snapshot((A, 1, 2), (B, 4, 0))
    assert not seen.is_too_large(7, None)
    assert seen.is_too_large(8, None)
    assert not seen.is_too_large(3, frozenset({A}))
    assert seen.is_too_large(4, frozenset({A, C}))
    assert seen.is_too_large(1, frozenset({C}))


@pytest.mark.parametrize(
    ("account", "total"),
    [
        ({"max_jobs": 8, "executing": 3, "available": 2}, 5),
        ({"max_jobs": 8, "executing": 0, "available": 5}, 5),
        ({"executing": 3, "available": 2}, 5),
        ({"max_jobs": 8, "available": 2}, 8),
        ({"max_jobs": 1, "available": 2}, 2),
        ({"max_jobs": 8}, 8),
        ({"available": 2}, 2),
        ({"executing": -3, "available": 2}, 2),
        ({}, 0),
    ],
)
def test_what_the_api_says_can_run_now_is_what_an_account_has_in_all(account, total):
    assert AccountCapacity(email=A, **account).total == total


def test_an_account_that_is_listed_twice_has_the_slots_of_both():
    seen = snapshot((A, 0, 2), (A.upper(), 1, 3))
    assert seen.available == {A: 5}
    assert not seen.is_too_large(6, frozenset({A}))
    assert seen.is_too_large(7, None)
    first, second = seen.account_less(A, 3)
    assert (first[0], second[0]) == (0, 1)
    assert told([first[1], second[1]]) == [(A, 0), (A.upper(), 2)]


def test_an_account_less_what_is_taken_is_a_copy():
    seen = snapshot((A, 1, 2), (B, 0, 3))
    [(place, account)] = seen.account_less(B, 1)
    assert (place, *told([account])) == (1, (B, 2))
    [(place, account)] = seen.account_less(A, 5)
    assert (place, *told([account])) == (0, (A, 0))
    assert account.executing == 1
    assert seen.available == {A: 2, B: 3}
    assert told(seen.capacity.accounts) == [(A, 2), (B, 3)]
    assert seen.account_less(B, 0) == [(1, seen.capacity.accounts[1])]
