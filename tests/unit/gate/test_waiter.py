"""A place in the queue, and the request that it was made for."""

import math

import pytest

from airflow_pixverse.gate.turns import Turn
from airflow_pixverse.gate.waiter import Queue, Waiter, WaitRequest

A = frozenset({"a@example.com"})


@pytest.mark.parametrize(
    ("field", "values"),
    {
        "slots": [0, -1, True, 1.0, "1", None, math.nan],
        "emails": ["a@example.com", ["a@example.com"], {"a@example.com"}, frozenset({1}), 5],
        "poke_interval": [None, "60", -1, -0.1, math.nan, math.inf, -math.inf, True, 10**400],
        "exponential_backoff": [None, 1, "yes"],
        "max_wait": [None, "60", -1, math.nan, -math.inf, True, 10**400],
        "waiting_since": [None, "2026", math.nan, math.inf, True],
        "lease": ["long" * 1000, -1, math.nan, math.inf, True, []],
        "connection": [None, 5],
        "reference": [None, 5],
    }.items(),
)
def test_a_field_that_cannot_be_used_is_named_with_the_begin_of_its_value(field, values):
    for value in values:
        with pytest.raises(ValueError, match=f"^{field} of a wait cannot be ") as caught:
            WaitRequest(**{field: value})
        assert str(caught.value) == f"{field} of a wait cannot be {repr(value)[:100]}"


def test_the_limits_themselves_can_be_used():
    WaitRequest(slots=1, emails=A, poke_interval=0, max_wait=0, lease=0, waiting_since=-5, connection="c")
    WaitRequest(slots=10**6, emails=frozenset(), poke_interval=1e9, max_wait=math.inf, lease=1e9)
    WaitRequest(max_wait=5, exponential_backoff=True)


def test_a_request_has_the_defaults_of_the_sensor():
    usual = WaitRequest()
    assert (usual.slots, usual.emails, usual.poke_interval, usual.lease) == (1, None, 60.0, None)
    assert (usual.exponential_backoff, usual.max_wait, usual.waiting_since) == (False, math.inf, 0.0)
    assert usual.connection == usual.reference == ""


@pytest.mark.parametrize(("lease", "seconds"), [(None, 120), (12, 12), (0, 0)])
def test_a_lease_lasts_two_minutes_unless_told_otherwise(lease, seconds):
    assert WaitRequest(poke_interval=3600, lease=lease).lease_seconds == seconds


def test_an_interval_grows_only_with_exponential_backoff():
    assert WaitRequest(poke_interval=10, max_wait=5).interval(1000) == 10
    growing = WaitRequest(poke_interval=10, exponential_backoff=True, max_wait=60)
    assert [growing.interval(waited) for waited in (0, 10, 30, 50, 51, 1000)] == [10, 20, 40, 60, 60, 60]


def waiter(since, number):
    return Waiter(WaitRequest(), Turn(since, number), 0.0, 0.0, None, None)


def queue(*waiters):
    result = Queue()
    for one in waiters:
        result.add(one)
    return result


def test_the_oldest_wait_is_first_then_the_first_to_come():
    third, first, second = waiter(8, 0), waiter(5, 1), waiter(5, 2)
    waiting = queue(third, first, second)
    assert waiting.in_order() == [first, second, third]
    assert [waiting.place(one) for one in (first, second, third)] == [1, 2, 3]
    assert len(waiting) == 3


def test_newcomer_is_last_until_the_next_decision():
    first, newcomer = waiter(5, 0), waiter(1, 1)
    waiting = queue(first, newcomer)
    assert waiting.place(newcomer) == 2
    waiting.in_order()
    assert waiting.place(newcomer) == 1


def test_a_waiter_that_leaves_is_gone_and_can_be_removed_again():
    first, second, third = waiter(1, 0), waiter(2, 1), waiter(3, 2)
    waiting = queue(first, second, third)
    for one in (second, second, waiter(1, 1), waiter(0, 2)):
        waiting.remove(one)
    assert waiting.in_order() == [first, third]
    waiting.remove(first)
    waiting.remove(third)
    assert not waiting
