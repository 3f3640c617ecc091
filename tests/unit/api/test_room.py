"""What a snapshot says of a wait, in words."""

import pytest

from airflow_pixverse.api.models import AccountCapacity, Capacity
from airflow_pixverse.api.room import describe_room, obstacles

CAPACITY = Capacity(
    accounts=[
        AccountCapacity(email="A@example.com", max_jobs=8, executing=1, available=2),
        AccountCapacity(email="b@example.com", max_jobs=8, executing=0, available=2),
    ]
)


def test_it_says_how_many_slots_are_free_and_how_many_are_wanted():
    assert describe_room(CAPACITY, 1) == "4 free, 1 wanted"
    assert describe_room(CAPACITY, 3, ["a@example.com"]) == "2 free, 3 wanted"


def test_a_wait_that_can_come_to_its_end_has_no_obstacle():
    assert obstacles(CAPACITY, 5) == []
    assert obstacles(CAPACITY, 3, ["a@EXAMPLE.com"]) == []


def test_an_account_that_the_api_does_not_list_is_named():
    [obstacle] = obstacles(CAPACITY, 1, ["a@example.com", "typo@example.com", "other@example.com"])
    assert "lists no account other@example.com, typo@example.com" in obstacle


def test_a_wait_for_more_than_the_accounts_run_at_once_is_told_so():
    assert obstacles(CAPACITY, 6) == [
        "The chosen accounts run 5 jobs at once: 6 slots are never free together"
    ]
    unlisted, too_many = obstacles(CAPACITY, 4, ["a@example.com", "typo@example.com"])
    assert "typo@example.com" in unlisted
    assert too_many == "The chosen accounts run 3 jobs at once: 4 slots are never free together"


def test_an_account_that_is_not_listed_is_not_said_to_be_too_small_too():
    assert obstacles(CAPACITY, 1, ["typo@example.com"]) == [
        "The API lists no account typo@example.com: is the e-mail right?"
    ]


@pytest.mark.parametrize(
    ("slots", "totals", "words"),
    [
        (1, [0], "The chosen accounts run 0 jobs at once: 1 slot is never free"),
        (2, [1], "The chosen accounts run 1 job at once: 2 slots are never free together"),
        (1, [], "The chosen accounts run 0 jobs at once: 1 slot is never free"),
    ],
)
def test_one_job_and_one_slot_are_in_the_singular(slots, totals, words):
    capacity = Capacity(accounts=[AccountCapacity(executing=total) for total in totals])
    assert obstacles(capacity, slots) == [words]
