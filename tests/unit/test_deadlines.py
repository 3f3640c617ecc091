"""When a wait must end, as sensor, trigger and Airflow each express it."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from airflow_pixverse.deadlines import SAFETY_NET, Deadlines, Limit
from airflow_pixverse.wait_parameters import WaitParameters

TEN_YEARS = timedelta(days=3650).total_seconds()


@pytest.mark.parametrize(
    ("timeout", "execution_timeout", "first"),
    [
        (10.0, 20.0, (1010.0, Limit.TIMEOUT)),
        (20.0, 10.0, (1010.0, Limit.EXECUTION_TIMEOUT)),
        (10.0, None, (1010.0, Limit.TIMEOUT)),
        (None, 10.0, (1010.0, Limit.EXECUTION_TIMEOUT)),
        (10.0, 10.0, (1010.0, Limit.EXECUTION_TIMEOUT)),
        (0.0, 5.0, (1000.0, Limit.TIMEOUT)),
    ],
)
def test_of_two_deadlines_the_earlier_counts(timeout, execution_timeout, first):
    assert Deadlines(1000.0, timeout, execution_timeout).first == first


def test_without_limits_it_never_ends():
    assert Deadlines(1000.0).first[0] == math.inf


@pytest.mark.parametrize(
    ("timeout", "execution_timeout", "seconds"),
    [
        (10.0, None, 10.0 + SAFETY_NET),
        (10.0, 20.0, 10.0 + SAFETY_NET),
        (20.0, 10.0, 10.0 + SAFETY_NET),
        (None, None, TEN_YEARS),
        (20 * TEN_YEARS, None, TEN_YEARS),
    ],
)
def test_airflow_is_asked_to_defer_for_longer_than_the_trigger_waits(timeout, execution_timeout, seconds):
    assert Deadlines(0.0, timeout, execution_timeout).deferral_seconds == seconds


@pytest.mark.parametrize("timeout", [10.0, 3600.0, TEN_YEARS - 1, 2 * TEN_YEARS, 100 * TEN_YEARS, None])
@pytest.mark.parametrize("execution_timeout", [None, 5.0, 60.0, 7200.0, 5 * TEN_YEARS])
def test_when_a_wait_began_can_be_told_from_when_airflow_ends_its_deferral(timeout, execution_timeout):
    began = datetime(2026, 11, 25, tzinfo=UTC)
    asked = Deadlines(0.0, timeout, execution_timeout).deferral_seconds
    # Airflow itself cuts a deferral at the execution_timeout.
    ends = began + timedelta(seconds=min(asked, execution_timeout or math.inf))
    deadlines = Deadlines.of_deferral(ends, timeout=timeout, execution_timeout=execution_timeout)
    assert deadlines.since == pytest.approx(began.timestamp())
    assert (deadlines.timeout, deadlines.execution_timeout) == (timeout, execution_timeout)


@pytest.mark.parametrize(
    ("waiting_since", "deferral_ends", "started", "since"),
    [
        (50.0, 1000.0, 2000.0, 50.0),
        (None, 1000.0, 2000.0, 1000.0 - 10.0 - SAFETY_NET),
        (None, None, 2000.0, 2000.0),
    ],
)
def test_a_wait_began_when_it_says_or_else_when_airflow_lets_conclude(
    waiting_since, deferral_ends, started, since
):
    moment = lambda seconds: seconds and datetime.fromtimestamp(seconds, UTC)  # noqa: E731
    deadlines = Deadlines.of_wait(
        WaitParameters(waiting_since=waiting_since, timeout=10.0),
        deferral_ends=moment(deferral_ends),
        started=moment(started),
    )
    assert deadlines == Deadlines(since, 10.0)
