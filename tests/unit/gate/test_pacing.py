"""When a gate polls next, to the second."""

import math

import pytest

from airflow_pixverse.gate.pacing import Pacing


@pytest.fixture
def pacing():
    return Pacing(lambda: 0.0)


def test_the_first_poll_is_made_at_once(pacing):
    assert pacing.next_poll(60) == -math.inf


def test_then_there_is_one_poll_an_interval(pacing):
    pacing.record_success(100)
    assert pacing.next_poll(60) == 160
    assert pacing.next_poll(3) == 103


def test_jitter_makes_each_interval_up_to_a_tenth_longer():
    jitter = iter([1.0, 0.5])
    pacing = Pacing(lambda: next(jitter))
    pacing.record_success(100)
    assert pacing.next_poll(60) == 166
    assert pacing.next_poll(60) == 166, "the same until the next poll"
    pacing.record_success(200)
    assert pacing.next_poll(60) == 263


def test_no_interval_is_shorter_than_a_tenth_of_a_second(pacing):
    pacing.record_success(100)
    assert pacing.next_poll(0) == 100.1


def test_newcomers_are_looked_at_after_ten_seconds(pacing):
    pacing.record_success(100)
    assert pacing.next_poll(60, newcomers=True) == 110
    assert pacing.next_poll(3, newcomers=True) == 103


def test_while_leases_are_open_there_is_a_poll_every_ten_seconds(pacing):
    pacing.record_success(100)
    assert pacing.next_poll(60, leases=True) == 110
    assert pacing.next_poll(3, leases=True) == 103


def test_a_snapshot_is_fresh_for_five_seconds(pacing):
    assert not pacing.is_fresh(0)
    pacing.record_success(100)
    assert pacing.is_fresh(104.9)
    assert not pacing.is_fresh(105)


def test_newcomers_wait_for_what_a_poll_within_ten_seconds_finds(pacing):
    assert pacing.is_soon(110, now=100)
    assert pacing.is_soon(-math.inf, now=100)
    assert not pacing.is_soon(110.1, now=100)


def test_where_there_was_nothing_to_fetch_who_comes_then_is_polled_for_a_moment_later(pacing):
    pacing.record_nothing_to_fetch(100)
    assert pacing.next_poll(60) == 100.1
    assert not pacing.is_fresh(100), "there was no poll"
    pacing.record_failure(101, 77)
    pacing.record_nothing_to_fetch(102)
    assert pacing.next_poll(60) == 178, "Retry-After holds all the same"


def test_failures_double_the_interval_up_to_five_minutes(pacing):
    seen = []
    for _ in range(7):
        pacing.record_failure(100)
        seen.append(pacing.next_poll(10) - 100)
    assert seen == [10, 20, 40, 80, 160, 300, 300]


def test_a_success_ends_the_backoff(pacing):
    for _ in range(5):
        pacing.record_failure(100)
    pacing.record_success(100)
    assert pacing.next_poll(10) == 110
    pacing.record_failure(100)
    pacing.record_failure(100)
    assert pacing.next_poll(10) == 120


def test_without_retry_after_the_interval_counts(pacing):
    pacing.record_failure(100)
    assert pacing.next_poll(0.5) == 100.5


def test_a_backoff_makes_no_interval_shorter(pacing):
    pacing.record_failure(100)
    assert pacing.next_poll(400) == 500


def test_the_shortest_interval_gets_to_the_longest_backoff_too(pacing):
    for _ in range(12):
        pacing.record_failure(100)
    assert pacing.next_poll(0.1) == pytest.approx(100 + 204.8)
    for _ in range(5000):
        pacing.record_failure(100)
    assert pacing.next_poll(0.1) == 400


def test_a_backoff_counts_for_newcomers_and_leases_too(pacing):
    for _ in range(3):
        pacing.record_failure(100)
    assert pacing.next_poll(60, newcomers=True) == 140
    assert pacing.next_poll(60, leases=True) == 140


def test_retry_after_holds_for_everybody(pacing):
    pacing.record_failure(100, 77)
    assert pacing.next_poll(10, newcomers=True, leases=True) == 177
    pacing.record_failure(177)
    assert pacing.next_poll(10) == 197


def test_a_fatal_error_is_believed_at_the_second_look_five_seconds_later(pacing):
    assert not pacing.record_fatal(100)
    assert pacing.next_poll(3600) == 105
    assert pacing.next_poll(1, newcomers=True, leases=True) == 105
    assert pacing.record_fatal(105)


def test_a_success_in_between_clears_the_suspicion(pacing):
    pacing.record_fatal(100)
    pacing.record_success(105)
    assert pacing.next_poll(60) == 165
    assert not pacing.record_fatal(165)


def test_a_failure_in_between_neither_clears_nor_confirms_it(pacing):
    for _ in range(3):
        pacing.record_failure(100)
    pacing.record_fatal(100)
    assert pacing.next_poll(60) == 105
    pacing.record_failure(105)
    assert pacing.next_poll(60) == 110
    pacing.record_failure(110)
    assert pacing.next_poll(60) == 120
    assert pacing.record_fatal(120)


def test_a_suspicion_is_forgotten_after_five_minutes():
    pacing = Pacing(lambda: 0.0)
    pacing.record_fatal(100)
    assert pacing.record_fatal(399.9)

    pacing = Pacing(lambda: 0.0)
    pacing.record_fatal(100)
    assert not pacing.record_fatal(400)

    pacing = Pacing(lambda: 0.0)
    pacing.record_fatal(100)
    pacing.record_failure(400)
    assert pacing.next_poll(60) == 460
    assert not pacing.record_fatal(460)


def test_for_ten_seconds_after_a_believed_error_nobody_asks_again(pacing):
    assert not pacing.tells_newcomers(0)
    pacing.record_fatal(100)
    assert not pacing.tells_newcomers(100)
    pacing.record_fatal(105)
    assert pacing.tells_newcomers(114.9)
    assert not pacing.tells_newcomers(115)
    assert pacing.next_poll(1) == 115
    assert pacing.next_poll(3600, newcomers=True) == 115


def test_what_was_believed_before_needs_two_looks_again(pacing):
    pacing.record_fatal(100)
    pacing.record_fatal(105)
    assert not pacing.record_fatal(115)
    assert pacing.next_poll(60) == 120


def test_interrupted_waits_get_time_to_come_back(pacing):
    pacing.record_arrival(1000, waited=10)
    assert pacing.next_poll(60) == 1002.5
    assert pacing.is_gathering(1002.4)
    assert not pacing.is_gathering(1002.5)
    pacing.record_arrival(1001, waited=5000)
    assert pacing.next_poll(60) == 1003.5


def test_a_wait_that_has_just_begun_was_not_interrupted(pacing):
    pacing.record_arrival(1000, waited=9.9)
    assert not pacing.is_gathering(1000)
    assert pacing.next_poll(60) == -math.inf


def test_interrupted_waits_come_back_within_half_a_minute(pacing):
    for second in range(40):
        pacing.record_arrival(1000 + second, waited=60)
    assert pacing.next_poll(60) == 1030


def test_nobody_is_waited_for_once_the_gate_has_polled(pacing):
    pacing.record_success(1000)
    pacing.record_arrival(1000, waited=60)
    assert not pacing.is_gathering(1000)
    assert pacing.next_poll(60) == 1060
