"""The times at which the result of a job may be asked for."""

from itertools import pairwise

import pytest

from airflow_pixverse.waits.job_progress import ResultPacing


def pacing_of(interval, *records):
    """Return the pacing of a job that has been recorded as listed or gone, in this order."""
    pacing = ResultPacing(interval, 0.0)
    for record in records:
        getattr(pacing, f"record_{record}")()
    return pacing


def asked(pacing, times):
    """The times at which a job is asked for whose result never comes."""
    now, moments = 0.0, []
    for _ in range(times):
        now += pacing.seconds_until_due(now)
        moments.append(now)
        pacing.record_asked(now)
    return moments


@pytest.mark.parametrize(
    ("interval", "records", "moments"),
    [
        # It never was listed: at once, then once a minute, but not more than once an interval.
        (5, ["gone"], [0, 60, 120, 180]),
        (90, ["gone"], [0, 90, 180]),
        # It has left the list: at once, and then less and less often.
        (10, ["listed", "gone"], [0, 10, 30, 70, 130, 190]),
        # There is no list, or it keeps the job: every five minutes.
        (10, [], [300, 600, 900]),
        (10, ["listed"], [300, 600, 900]),
    ],
)
def test_a_result_that_never_comes_is_asked_for_as_the_list_suggests(interval, records, moments):
    assert asked(pacing_of(interval, *records), len(moments)) == moments


def test_a_job_that_is_listed_only_after_a_question_is_due_an_interval_after_that():
    pacing = pacing_of(10, "gone")
    pacing.record_asked(100.0)
    pacing.record_listed()
    assert pacing.seconds_until_due(103.0) == 297
    pacing.record_gone()
    assert pacing.seconds_until_due(103.0) == 7
    assert pacing.seconds_until_due(111.0) == 0


def test_a_longer_pause_that_the_server_asks_for_holds_whatever_else_happens():
    pacing = pacing_of(10, "gone")
    pacing.record_asked(0.0, pause=400.0)
    pacing.record_listed()
    assert pacing.seconds_until_due(1.0) == 399
    pacing.record_gone()
    assert pacing.seconds_until_due(1.0) == 399


def test_two_requests_for_a_result_are_apart_however_short_the_interval():
    moments = asked(pacing_of(0, "listed", "gone"), 2000)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert min(gaps) >= 0.09
    assert max(gaps) < 61
