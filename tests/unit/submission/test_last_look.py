"""The last look of a task that a gate has let through: may it submit now?"""

import logging

import pytest

from airflow_pixverse.api.reply_ref import join
from airflow_pixverse.simulator import faults
from airflow_pixverse.submission import last_look
from airflow_pixverse.submission.last_look import reason_not_to_submit
from airflow_pixverse.submission.wait_protocol import Admission
from tests.helpers.clients import client_of

A, B = "a@example.com", "b@example.com"
pytestmark = pytest.mark.pixverse_simulator(accounts={A: 2, B: 1})


class Clock:
    """A clock that goes by what is slept."""

    def __init__(self):
        self.now = 0.0
        self.at = {}

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.at.pop(self.now, lambda: None)()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(last_look, "time", clock)
    return clock


def look(sim, *, ahead, email=A, is_bound=True):
    admission = Admission([{"email": email, "available": 0}], "mine", is_leased=True, ahead=ahead)
    log = logging.getLogger(__name__)
    return reason_not_to_submit(client_of(sim), admission, None, log, is_bound=is_bound)


def test_slot_that_is_free_already_is_used_after_one_look(sim):
    assert look(sim, ahead=[]) == ""
    assert sim.request_count == 1


def test_slot_of_another_account_is_not_that_of_this_wait(sim):
    sim.start_job(A)
    sim.start_job(A)
    assert "goes on" in look(sim, ahead=[])
    assert sim.request_count == 31, "every two seconds, for a minute"


def test_slot_that_another_account_has_for_ten_seconds_is_better_than_none(sim, clock):
    sim.start_job(A)
    sim.start_job(A)
    assert look(sim, ahead=[], is_bound=False) == "Another account has a slot"
    assert clock.now == 10


def test_slot_that_another_account_has_for_a_moment_is_that_of_another_task(sim, clock):
    sim.start_job(A)
    sim.start_job(A)
    clock.at[4] = lambda: sim.start_job(B)
    clock.at[20] = lambda: sim.end_job(sim.jobs[0].id)
    assert look(sim, ahead=[], is_bound=False) == ""
    assert clock.now == 20


def test_slots_of_tasks_ahead_are_theirs_until_their_jobs_are_listed(sim):
    assert look(sim, ahead=["other"]) == "", "there are two"
    sim.start_job(A)
    sim.start_job(A, reply_ref=join("task", "other"))
    assert "goes on" in look(sim, ahead=["other"])
    sim.end_job(sim.jobs[0].id)
    before = sim.request_count
    assert look(sim, ahead=["other"]) == ""
    assert sim.request_count == before + 1


def test_job_ahead_that_is_never_listed_keeps_the_slot_for_the_time_of_the_looks(sim):
    sim.start_job(A)
    assert look(sim, ahead=["other"]) == ""
    assert sim.request_count == 31


def test_errors_end_no_look_and_submit_nothing_by_themselves(sim):
    sim.inject(faults.status(502), times=2, path="scheduler/available")
    assert look(sim, ahead=[]) == ""
    sim.inject(faults.status(502), times=None, path="scheduler/available")
    assert "could not be seen" in look(sim, ahead=[])


def test_permanent_error_ends_the_looks_at_once_and_retry_after_is_honoured(sim):
    sim.inject(faults.status(401), times=None, path="scheduler/available")
    assert "could not be seen" in look(sim, ahead=[])
    assert sim.request_count == 1
    sim.clear_faults()
    sim.inject(faults.status(429, retry_after=60), times=None, path="scheduler/available")
    assert "could not be seen" in look(sim, ahead=[])
    assert sim.request_count == 3, "and once more after the 60 s that it asks for"
