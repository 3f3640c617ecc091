"""The simulated service by itself, on a clock that only moves when told to."""

from __future__ import annotations

import math

import pytest

from airflow_pixverse.simulator.service import Service
from airflow_pixverse.simulator.state import AtCapacityError, UnknownAccountError, UnknownJobError
from tests.unit.simulator.clock import Clock

A, B = "a-1@example.com", "b@example.com"
NOW = 1_727_229_316.128


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def service(clock: Clock) -> Service:
    return Service({A: 3, B: 2}, clock=clock)


def test_a_job_takes_a_slot_of_its_account(service):
    service.start("video", A)
    assert [
        (account.email, account.executing, account.available) for account in service.snapshot().accounts
    ] == [
        (A, 1, 2),
        (B, 0, 2),
    ]


def test_a_job_ends_by_itself_when_its_seconds_are_over(service, clock):
    service.start("video", A, seconds=30)
    clock.now += 29.9
    assert service.free(A) == 2
    clock.now += 0.1
    assert service.free(A) == 3


def test_an_endless_job_ends_when_it_is_ended_and_only_once(service, clock):
    job = service.start("video", A)
    clock.now += 1e9
    service.end(job)
    assert service.snapshot().jobs == []
    with pytest.raises(UnknownJobError, match=job):
        service.end(job)


def test_ids_tell_account_and_type_and_never_repeat(service):
    first = service.start("video", A)
    service.end(first)
    assert first == "user:1-pixverse:a-1@example.com-video:1"
    assert service.start("image", A) == "user:1-pixverse:a-1@example.com-image:2"


def test_without_an_email_any_account_with_a_free_slot_will_do_until_none_is_left(service):
    for _ in range(5):
        service.start("video")
    assert service.free() == 0
    with pytest.raises(AtCapacityError, match="Every account"):
        service.start("video")


def test_a_full_account_refuses_although_another_has_room(service):
    service.start("video", B)
    service.start("video", B)
    with pytest.raises(AtCapacityError, match=B):
        service.start("video", B)
    assert service.free() == 3


def test_max_jobs_of_a_submit_overrides_that_of_the_account_either_way(service):
    service.start("video", A)
    with pytest.raises(AtCapacityError):
        service.start("video", A, max_jobs=1)
    service.start("video", B)
    service.start("video", B)
    service.start("video", B, max_jobs=3)
    assert service.free(B) == 0


def test_accounts_are_known_by_their_email_in_any_case(service):
    assert ":a-1@example.com-" in service.start("video", "A-1@Example.com")
    with pytest.raises(UnknownAccountError, match="nobody@"):
        service.start("video", "nobody@example.com")


def test_lowering_max_jobs_below_what_executes_leaves_no_slot_but_not_fewer(service):
    service.fill()
    service.configure(A, max_jobs=1)
    assert service.free(A) == 0
    assert service.snapshot().accounts[0].executing == 3


def test_fill_takes_exactly_the_free_slots_and_lets_them_go_one_by_one(service, clock):
    service.start("video", A)
    assert len(service.fill(10)) == 4
    clock.now += 9.9
    assert service.free() == 0
    clock.now += 0.1
    assert service.free() == 1
    clock.now += 2
    assert service.free() == 4


def test_an_endless_fill_stays(service, clock):
    service.fill()
    clock.now += 1e9
    assert service.free() == 0
    assert all(job.ends == math.inf for job in service.snapshot().jobs)
    assert service.end_all() == 5
    assert service.free() == 5


def lively(clock, seed=7):
    return Service({A: 3, B: 3}, clock=clock, arrivals_per_minute=6, job_seconds=(20, 60), seed=seed)


def test_what_arrives_depends_on_the_seed_and_not_on_how_often_one_looks():
    often, once, other = Clock(NOW), Clock(NOW), Clock(NOW)
    watched, unwatched, differently = lively(often), lively(once), lively(other, seed=8)
    for clock in (once, other):
        clock.now += 600
    seen = set()
    for _ in range(600):
        often.now += 1
        seen.add(watched.free())
    assert watched.snapshot().jobs == unwatched.snapshot().jobs
    assert watched.snapshot().jobs != differently.snapshot().jobs
    assert {0, 1, 2, 3} <= seen


def test_what_is_done_does_not_change_when_others_arrive():
    clocks = Clock(NOW), Clock(NOW)
    alone, disturbed = (lively(clock) for clock in clocks)
    mine = disturbed.start("video", A, seconds=math.inf)
    for clock in clocks:
        clock.now += 60
    starts = [
        {job.started for job in service.snapshot().jobs if job.id != mine} for service in (alone, disturbed)
    ]
    assert starts[0] == starts[1] != set()


def test_arrivals_find_no_place_while_every_slot_is_taken(clock):
    service = lively(clock)
    filled = service.fill()
    clock.now += 3600
    assert [job.id for job in service.snapshot().jobs] == filled


def test_a_job_runs_as_long_as_jobs_do_here_unless_told_otherwise(clock):
    service = Service({A: 1}, clock=clock, job_seconds=(20, 60))
    service.start("video")
    (job,) = service.snapshot().jobs
    assert 20 <= job.ends - job.started <= 60
