"""The look that follows a submit whose answer was lost."""

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.simulator import faults
from airflow_pixverse.submits.look import Finding, look_for_lost_job

REFERENCE = "airflow:dag/run/task/-1#abc"


def look(sim, clock):
    with PixverseClient(sim.token, sim.url, max_retries=0) as client:
        return look_for_lost_job(client, REFERENCE, clock=lambda: clock.now, sleep=clock.sleep)


def test_a_job_that_is_listed_is_found_at_once(sim, clock):
    job = sim.start_job(reply_ref=REFERENCE)
    assert look(sim, clock) == (Finding.FOUND, [job])
    assert clock.passed() == 0


def test_a_job_that_is_listed_later_is_found(sim, clock):
    clock.at[44] = lambda: sim.start_job(reply_ref=REFERENCE)
    assert look(sim, clock).finding is Finding.FOUND


def test_what_is_not_listed_for_45_seconds_is_not_there(sim, clock):
    sim.start_job(reply_ref="somebody else's")
    assert look(sim, clock) == (Finding.NOT_LISTED, [])
    assert clock.passed() == 45


def test_short_trouble_is_no_gap(sim, clock):
    clock.at[20] = lambda: sim.inject(faults.status(503), times=1)
    assert look(sim, clock).finding is Finding.NOT_LISTED


@pytest.mark.parametrize("begin", [0, 20, 35])
def test_a_list_that_is_out_of_sight_for_long_proves_nothing(sim, clock, begin):
    clock.at[begin] = lambda: sim.inject(faults.status(503), times=3)
    clock.sleep(0)
    clock.now = 1000.0
    assert look(sim, clock).finding is Finding.GAPS
    assert clock.passed() == 45


def test_a_process_that_was_paused_in_between_has_a_gap(sim, clock):
    clock.at[20] = lambda: clock.sleep(15)
    assert look(sim, clock).finding is Finding.GAPS
