"""The time of the next poll, to the second."""

import math

import pytest

from airflow_pixverse.gate.pacing import Pacing


@pytest.fixture
def pacing():
    return Pacing(lambda: 0.0)


FAILURE, FATAL, SUCCESS = ("failure", 100), ("fatal", 100), ("success", 100)
BELIEVED = [FATAL, ("fatal", 160)]


@pytest.mark.parametrize(
    ("history", "interval", "at"),
    [
        ([], 60, -math.inf),
        ([SUCCESS], 60, 160),
        ([SUCCESS], 3, 103),
        ([SUCCESS], 0, 100.1),
        # Failures double the interval, up to five minutes.
        ([FAILURE], 0.5, 100.5),
        ([FAILURE], 10, 110),
        ([FAILURE] * 2, 10, 120),
        ([FAILURE] * 5, 10, 260),
        ([FAILURE] * 6, 10, 400),
        ([FAILURE] * 7, 10, 400),
        ([FAILURE] * 2, 400, 500),
        ([FAILURE] * 5000, 0.1, 400),
        ([*[FAILURE] * 5, SUCCESS], 10, 110),
        ([*[FAILURE] * 5, SUCCESS, FAILURE, FAILURE], 10, 120),
        # Retry-After holds, also where nothing was to fetch.
        ([("failure", 100, 77)], 10, 177),
        ([("failure", 100, 77), ("failure", 177)], 10, 197),
        ([("nothing_to_fetch", 100)], 60, 100.1),
        ([("failure", 101, 77), ("nothing_to_fetch", 102)], 60, 178),
        # A second look is due a minute after a fatal error, whatever fails in between.
        ([FATAL], 3600, 160),
        ([FATAL], 15, 115),
        ([FATAL, ("fatal", 145)], 3600, 160),
        # ... but not right after another look.
        ([FATAL, ("fatal", 159)], 3600, 169),
        ([FATAL, ("fatal", 159)], 7, 166),
        ([FATAL, ("success", 105)], 3600, 3705),
        ([*[FAILURE] * 3, FATAL], 3600, 160),
        ([*[FAILURE] * 3, FATAL, ("failure", 160)], 3600, 220),
        ([FATAL, ("failure", 160), ("failure", 220)], 3600, 340),
        ([FATAL, ("failure", 460)], 3600, 4060),
        # After a believed error there is a poll every five minutes, until one succeeds.
        (BELIEVED, 15, 460),
        (BELIEVED, 3600, 3760),
        ([*BELIEVED, ("fatal", 460)], 15, 760),
        ([*BELIEVED, ("fatal", 460), ("success", 760)], 15, 775),
        # Interrupted waits get time to come back to a gate that has not polled yet.
        ([("arrival", 1000, 9.9)], 60, -math.inf),
        ([("arrival", 1000, 10)], 60, 1002.5),
        ([("arrival", 1000, 10), ("arrival", 1001, 5000)], 60, 1003.5),
        ([("arrival", 1000 + second, 60) for second in range(40)], 60, 1030),
        ([("success", 1000), ("arrival", 1000, 60)], 60, 1060),
    ],
)
def test_the_next_poll_follows_from_the_polls_and_arrivals_before(pacing, history, interval, at):
    record(pacing, history)
    assert pacing.next_poll(interval) == at


def record(pacing, history):
    for what, *arguments in history:
        getattr(pacing, f"record_{what}")(*arguments)


@pytest.mark.parametrize(
    ("history", "interval", "at"),
    [
        ([SUCCESS], 60, 110),
        ([SUCCESS], 3, 103),
        ([FAILURE] * 3, 60, 140),
        ([("failure", 100, 77)], 10, 177),
    ],
)
@pytest.mark.parametrize("for_whom", [{"newcomers": True}, {"leases": True}], ids=["newcomers", "leases"])
def test_newcomers_and_leases_get_a_poll_every_ten_seconds_or_after_the_backoff(
    pacing, history, interval, at, for_whom
):
    record(pacing, history)
    assert pacing.next_poll(interval, **for_whom) == at


@pytest.mark.parametrize(
    ("history", "interval", "at"),
    [
        ([FATAL], 3600, 110),
        (BELIEVED, 1, 170),
        (BELIEVED, 3600, 170),
        ([*BELIEVED, ("fatal", 175)], 3600, 185),
        ([*BELIEVED, ("fatal", 460)], 15, 470),
    ],
)
def test_newcomers_get_a_poll_ten_seconds_after_a_fatal_error(pacing, history, interval, at):
    record(pacing, history)
    assert pacing.next_poll(interval, newcomers=True) == at


def test_the_shortest_interval_is_doubled_twelve_times(pacing):
    record(pacing, [FAILURE] * 12)
    assert pacing.next_poll(0.1) == pytest.approx(100 + 204.8)


def test_jitter_makes_each_interval_up_to_a_tenth_longer():
    jitter = iter([1.0, 0.5])
    pacing = Pacing(lambda: next(jitter))
    pacing.record_success(100)
    assert pacing.next_poll(60) == 166
    assert pacing.next_poll(60) == 166, "the same until the next poll"
    pacing.record_success(200)
    assert pacing.next_poll(60) == 263


def test_poll_for_a_job_that_is_about_to_end_is_in_time_and_two_seconds_after_the_last_one():
    pacing = Pacing(lambda: 1.0)
    pacing.record_success(100)
    assert pacing.next_poll(60, needed_at=130) == 130
    assert pacing.next_poll(60, needed_at=90) == 102
    assert pacing.next_poll(60, needed_at=165.5) == 165.5
    assert pacing.next_poll(60, needed_at=170) == 166
    assert pacing.next_poll(1, needed_at=90) == 101.1


@pytest.mark.parametrize("history", [[FAILURE], [FATAL], BELIEVED])
def test_job_that_is_about_to_end_repeats_no_poll_that_has_failed(pacing, history):
    record(pacing, [SUCCESS, *history])
    assert pacing.next_poll(10, needed_at=0) == pacing.next_poll(10)


def test_a_snapshot_is_fresh_for_five_seconds(pacing):
    pacing.record_nothing_to_fetch(0)
    assert not pacing.is_fresh(0), "there was no poll"
    pacing.record_success(100)
    assert pacing.is_fresh(104.9)
    assert not pacing.is_fresh(105)


def test_a_poll_is_soon_within_ten_seconds(pacing):
    assert pacing.is_soon(110, now=100)
    assert pacing.is_soon(-math.inf, now=100)
    assert not pacing.is_soon(110.1, now=100)


@pytest.mark.parametrize(
    ("history", "at", "is_believed"),
    [
        ([], 100, False),
        ([FATAL], 159, False),
        ([FATAL], 160, True),
        ([FATAL, ("fatal", 159)], 160, True),
        ([FATAL, ("success", 105)], 165, False),
        ([FATAL, ("failure", 160), ("failure", 220)], 340, True),
        # It is forgotten five minutes after the second look was due.
        ([FATAL], 459.9, True),
        ([FATAL], 460, False),
        ([FATAL, ("failure", 460)], 4060, False),
        (BELIEVED, 175, False),
    ],
)
def test_a_fatal_error_is_believed_if_it_is_met_a_minute_later_too(pacing, history, at, is_believed):
    record(pacing, history)
    assert pacing.record_fatal(at) is is_believed


def test_a_believed_error_counts_for_newcomers_of_ten_seconds(pacing):
    assert not pacing.is_fatal_for_newcomers(0)
    pacing.record_fatal(100)
    assert not pacing.is_fatal_for_newcomers(100)
    pacing.record_fatal(160)
    assert pacing.is_fatal_for_newcomers(169.9)
    assert not pacing.is_fatal_for_newcomers(170)


def test_a_gate_gathers_interrupted_waits_until_it_polls(pacing):
    pacing.record_arrival(1000, waited=9.9)
    assert not pacing.is_gathering(1000)
    pacing.record_arrival(1000, waited=10)
    assert pacing.is_gathering(1002.4)
    assert not pacing.is_gathering(1002.5)
    pacing.record_success(1003)
    pacing.record_arrival(1003, waited=60)
    assert not pacing.is_gathering(1003)
