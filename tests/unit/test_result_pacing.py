"""When the result of a job may be asked for."""

from itertools import pairwise

from airflow_pixverse.result_pacing import ResultPacing


def asked(pacing, times):
    """The times at which a job is asked for whose result never comes."""
    now, moments = 0.0, []
    for _ in range(times):
        now += pacing.patience(now)
        moments.append(now)
        pacing.record_asked(now)
    return moments


def test_a_job_that_is_not_listed_is_asked_for_at_once_and_then_once_a_minute():
    assert asked(ResultPacing(5), 4) == [0, 60, 120, 180]


def test_but_not_more_than_once_an_interval():
    assert asked(ResultPacing(90), 3) == [0, 90, 180]


def test_a_job_that_has_left_the_list_is_asked_for_at_once_and_then_less_and_less_often():
    pacing = ResultPacing(10)
    pacing.record_listed()
    assert asked(pacing, 6) == [0, 10, 30, 70, 130, 190]


def test_a_job_that_is_listed_only_after_a_question_is_due_an_interval_after_that():
    pacing = ResultPacing(10)
    pacing.record_asked(100.0)
    pacing.record_listed()
    assert pacing.patience(103.0) == 7
    assert pacing.patience(111.0) == 0


def test_the_server_may_ask_for_a_longer_pause_whatever_else_happens():
    pacing = ResultPacing(10)
    pacing.record_asked(0.0, pause=300.0)
    pacing.record_listed()
    assert pacing.patience(1.0) == 299


def test_however_short_the_interval_and_however_often_it_was_asked_for_there_is_a_pause():
    pacing = ResultPacing(0)
    pacing.record_listed()
    moments = asked(pacing, 2000)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert min(gaps) >= 0.09
    assert max(gaps) < 61
