"""The end of a wait, as sensor, trigger and Airflow each express it."""

import math
import time
from datetime import UTC, datetime, timedelta

import pytest

from airflow_pixverse.waits.deadlines import SAFETY_NET, Deadlines, Limit
from airflow_pixverse.waits.parameters import WaitParameters

YEAR = timedelta(days=365).total_seconds()


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
def test_the_earlier_of_two_deadlines_counts(timeout, execution_timeout, first):
    assert Deadlines(1000.0, timeout, execution_timeout).first == first


@pytest.mark.parametrize(
    ("timeout", "execution_timeout", "now", "seconds"),
    [
        (10.0, None, 0.0, 10.0 + SAFETY_NET),
        (10.0, 20.0, 0.0, 10.0 + SAFETY_NET),
        (20.0, 10.0, 0.0, 10.0 + SAFETY_NET),
        # Each deferral lasts a year at most.
        (None, None, 0.0, YEAR),
        (None, None, 30 * YEAR, YEAR),
        (20 * YEAR, None, 10 * YEAR, YEAR),
        (20 * YEAR, None, 19.5 * YEAR, YEAR / 2 + SAFETY_NET),
        (20 * YEAR, None, 21 * YEAR, 0.0),
    ],
)
def test_airflow_is_asked_to_defer_for_longer_than_the_trigger_waits(
    timeout, execution_timeout, now, seconds
):
    assert Deadlines(50.0, timeout, execution_timeout).deferral_seconds(50.0 + now) == seconds


def test_a_wait_without_limits_never_ends():
    assert Deadlines(1000.0).first[0] == math.inf


@pytest.mark.parametrize("timeout", [10.0, 3600.0, YEAR - 1, 2 * YEAR, 100 * YEAR, None])
@pytest.mark.parametrize("execution_timeout", [None, 5.0, 60.0, 7200.0, 5 * YEAR])
def test_the_begin_of_a_wait_follows_from_the_end_of_its_deferral(timeout, execution_timeout):
    began = datetime(2026, 11, 25, tzinfo=UTC)
    asked = Deadlines(0.0, timeout, execution_timeout).deferral_seconds(0.0)
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
def test_the_begin_of_a_wait_is_its_parameter_or_else_follows_from_airflow(
    waiting_since, deferral_ends, started, since
):
    moment = lambda seconds: seconds and datetime.fromtimestamp(seconds, UTC)  # noqa: E731
    deadlines = Deadlines.of_wait(
        WaitParameters(waiting_since=waiting_since, timeout=10.0),
        deferral_ends=moment(deferral_ends),
        started=moment(started),
    )
    assert deadlines == Deadlines(since, 10.0)


def test_no_wait_begins_in_the_future(monkeypatch):
    """An earlier version of this package deferred for ten years."""
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    ends = datetime.fromtimestamp(1000.0 + 10 * YEAR, UTC)
    deadlines = Deadlines.of_wait(WaitParameters(), deferral_ends=ends, started=None)
    assert deadlines == Deadlines(5000.0)
