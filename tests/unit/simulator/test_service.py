"""The simulated service by itself, on a clock that only moves when told to."""

import math

import pytest

from airflow_pixverse.simulator.errors import AtCapacityError
from airflow_pixverse.simulator.service import Service
from tests.unit.simulator.helpers import A, B, Clock


@pytest.fixture
def service(clock):
    return Service({A: 3, B: 2}, clock=clock)


def test_max_jobs_of_a_submit_overrides_that_of_the_account_either_way(service):
    service.start("video", A)
    with pytest.raises(AtCapacityError):
        service.start("video", A, max_jobs=1)
    service.start("video", B)
    service.start("video", B)
    service.start("video", B, max_jobs=3)
    assert service.free(B) == 0


def test_an_account_whose_max_jobs_are_lowered_keeps_its_jobs_and_has_no_slot(service):
    service.fill()
    service.configure(A, max_jobs=1)
    assert service.free(A) == 0
    assert service.snapshot().accounts[0].executing == 3


def test_fill_takes_exactly_the_free_slots_and_lets_them_go_one_by_one(service, clock):
    service.start("video", A)
    assert len(service.fill(10)) == 4
    free = []
    for seconds in (9.9, 0.1, 2):
        clock.now += seconds
        free.append(service.free())
    assert free == [0, 1, 4]


def test_an_endless_fill_stays_until_it_is_ended(service, clock):
    service.fill()
    clock.now += 1e9
    assert service.free() == 0
    assert all(job.ends == math.inf for job in service.snapshot().jobs)
    assert service.end_all() == 5
    assert service.free() == 5


def lively(seed=7):
    """Return a service to which others submit jobs, and its clock."""
    clock = Clock(1000.0)
    options = {"arrivals_per_minute": 6, "job_seconds": (20, 60)}
    return Service({A: 3, B: 3}, clock=clock, seed=seed, **options), clock


def test_arrivals_depend_on_the_seed_and_not_on_how_often_a_client_asks():
    (watched, often), (unwatched, once), (differently, other) = lively(), lively(), lively(seed=8)
    once.now = other.now = 1600.0
    seen = set()
    for _ in range(600):
        often.now += 1
        seen.add(watched.free())
    assert watched.snapshot().jobs == unwatched.snapshot().jobs
    assert watched.snapshot().jobs != differently.snapshot().jobs
    assert {0, 1, 2, 3} <= seen


def test_arrivals_come_at_the_same_times_whatever_a_test_does():
    (alone, one), (disturbed, other) = lively(), lively()
    mine = disturbed.start("video", A, seconds=math.inf)
    one.now = other.now = 1060.0
    started = {job.started for job in alone.snapshot().jobs}
    assert started
    assert {job.started for job in disturbed.snapshot().jobs if job.id != mine} == started


def test_arrivals_find_no_place_while_every_slot_is_taken():
    service, clock = lively()
    filled = service.fill()
    clock.now += 3600
    assert [job.id for job in service.snapshot().jobs] == filled


def test_a_job_runs_as_long_as_jobs_do_here_unless_told_otherwise():
    service, _ = lively()
    service.start("video")
    [job] = service.snapshot().jobs
    assert 20 <= job.ends - job.started <= 60
