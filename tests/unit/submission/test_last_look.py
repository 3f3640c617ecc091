"""The last look of a task that a gate has let through: may it submit now?"""

import logging

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.reply_ref import join
from airflow_pixverse.gate.awaited_job import AwaitedJob
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


def look(sim, *, ahead, email=A, is_bound=True, awaited=None):
    accounts = [{"email": email, "available": 0}]
    admission = Admission(accounts, "mine", is_leased=True, ahead=ahead, awaited=awaited)
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


@pytest.mark.parametrize(("ahead", "seconds"), [(["other"], 10), (["other", "third"], 12)])
def test_slot_that_is_free_for_ten_seconds_is_used_whoever_is_ahead(sim, clock, ahead, seconds):
    """Its task has gone, or the list shows no references. Tasks behind one another do not come at once."""
    sim.start_job(A)
    assert look(sim, ahead=ahead) == ""
    assert clock.now == seconds


def test_slot_that_comes_and_goes_is_used_by_those_ahead(sim, clock):
    sim.start_job(A)
    clock.at[8] = lambda: sim.start_job(A)
    clock.at[20] = lambda: sim.end_job(sim.jobs[0].id)
    assert look(sim, ahead=["other"]) == ""
    assert clock.now == 30


def test_slot_that_was_refused_is_not_taken_for_free(sim, clock):
    sim.start_job(A)
    awaited = AwaitedJob("gone", 20.0, refused=1)
    assert "goes on" in look(sim, ahead=[], awaited=awaited)
    clock.at[clock.now + 20] = lambda: sim.end_job(sim.jobs[0].id)
    assert look(sim, ahead=[], awaited=awaited) == "", "there are two"
    assert clock.now == 60 + 20


def test_slot_is_a_new_one_where_a_task_ahead_has_taken_the_one_before(sim, clock):
    sim.start_job(A)
    clock.at[8] = lambda: (sim.start_job(A, reply_ref=join("task", "other")), sim.end_job(sim.jobs[0].id))
    assert look(sim, ahead=["other", "third"]) == ""
    assert clock.now == 8 + 10


@pytest.mark.pixverse_simulator(accounts={A: 1, B: 1, "c@example.com": 1})
def test_slot_of_a_third_account_is_a_new_one(sim, clock):
    sim.start_job(A)
    job_id = sim.start_job("c@example.com")
    clock.at[6] = lambda: (sim.start_job(B), sim.end_job(job_id))
    assert look(sim, ahead=[], is_bound=False) == "Another account has a slot"
    assert clock.now == 6 + 10


def test_slot_that_came_late_is_used_at_the_end_of_the_looks(sim, clock):
    sim.start_job(A)
    sim.start_job(A)
    clock.at[56] = lambda: sim.end_job(sim.jobs[0].id)
    assert look(sim, ahead=["other"]) == ""
    assert clock.now == 60


@pytest.fixture
def looks_at(sim, clock, monkeypatch):
    """The seconds at which a task looks for the slot of a job that has been running for eight seconds."""
    times, get_capacity = [], PixverseClient.get_capacity

    def on_virtual_time(client):
        times.append(clock.now)
        capacity = get_capacity(client)
        elapsed = f"00:{8 + int(clock.now):02}"
        jobs = [job.model_copy(update={"elapsed": elapsed}) for job in capacity.executing]
        return capacity.model_copy(update={"executing": jobs})

    monkeypatch.setattr(PixverseClient, "get_capacity", on_virtual_time)

    def looked(job_id, usual, **more):
        look(sim, ahead=[], awaited=AwaitedJob(job_id, usual), **more)
        return times

    return looked


@pytest.fixture
def job_id(sim):
    """The first of the two jobs of an account without a free slot."""
    job_ids = [sim.start_job(A) for _ in range(2)]
    return job_ids[0]


def test_next_look_is_when_the_job_usually_ends_then_a_second_later_and_then_every_two(looks_at, job_id):
    assert looks_at(job_id, 20.0)[:5] == [0, 12, 13, 15, 17]


@pytest.mark.parametrize("is_listed", [True, False])
def test_looks_are_every_two_seconds_where_the_job_is_late_or_not_listed(looks_at, job_id, is_listed):
    assert looks_at(job_id if is_listed else "gone", 7.0 if is_listed else 20.0)[:4] == [0, 2, 4, 6]


def test_looks_are_every_two_seconds_once_the_job_has_ended_earlier(sim, clock, looks_at, job_id):
    clock.at[12] = lambda: (sim.end_job(job_id), sim.start_job(A))
    assert looks_at(job_id, 20.0)[:4] == [0, 12, 14, 16]


def test_job_that_ends_later_than_the_looks_puts_none_off_beyond_their_end(looks_at, job_id):
    assert looks_at(job_id, 600.0) == [0, 60]


def test_slot_of_another_account_is_seen_in_time_though_the_job_goes_on(looks_at, job_id):
    assert looks_at(job_id, 50.0, is_bound=False) == [0, 10]


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
