"""Watchers see every snapshot, and trackers the way of one job, on the polls that are made for all."""

import asyncio

import pytest

from airflow_pixverse.api.errors import PixverseAuthError, PixverseTransientError
from tests.unit.gate.service import A, in_background, settle, wait
from tests.unit.gate.virtual_time import now

NO, BUSY = PixverseAuthError("no"), PixverseTransientError("busy")


async def follow(gate, job_id, interval=10.0, connection=""):
    """When a job was gone, and whether it has been seen."""
    with gate.track(job_id, interval, connection) as tracker:
        return await tracker.wait_until_unlisted(), now()


async def test_watchers_and_a_wait_share_the_poll(service, gate):
    service.fill()
    async with in_background(wait(gate, poke_interval=10)):
        with gate.watch(10) as watcher, gate.watch(10) as another:
            for one in (watcher, another):
                seen = [await one.next_capacity() for _ in range(5)]
                assert [capacity.free_slots() for capacity in seen] == [0] * 5
                assert now() == 1050, "one poll for both"
    assert service.gaps == [10] * 5


@pytest.mark.service({A: 300})
async def test_the_last_hundred_snapshots_are_kept_in_order_while_a_watcher_is_busy(service, gate):
    with gate.watch(1) as watcher:
        for _ in range(150):
            await settle()
            service.start(A)
            await asyncio.sleep(1)
        await settle()
        seen = [(await watcher.next_capacity()).free_slots() for _ in range(100)]
        assert seen == list(range(249, 149, -1))
        assert now() == 1150
        await watcher.next_capacity()
        assert now() == 1151


async def test_a_watcher_that_comes_to_a_gate_at_work_gets_a_poll_soon(service, gate):
    service.fill()
    async with in_background(wait(gate, poke_interval=3600)):
        await asyncio.sleep(7)
        with gate.watch(3600) as watcher:
            await watcher.next_capacity()
            assert now() == 1010
            await watcher.next_capacity()
            assert now() == 4610


async def test_watchers_and_trackers_stay_after_failed_polls_which_count_as_polls(service, gate):
    service.errors = [BUSY, ZeroDivisionError()]
    with gate.watch(10) as watcher, gate.track(service.start(A), 10) as tracker:
        await tracker.polled
        assert (now(), tracker.is_listed) == (1000, None)
        await watcher.next_capacity()
        await tracker.wait_until_listed()
    assert service.gaps == [10, 20]


async def test_a_fatal_error_ends_each_watch_with_its_own_error_after_what_was_seen_before(service, gate):
    service.errors = [None, *[NO] * 7]
    with gate.watch(10) as watcher, gate.watch(10) as another:
        await asyncio.sleep(80)
        assert (await watcher.next_capacity()).free_slots() == 1
        await another.next_capacity()
        errors = []
        for one in (watcher, watcher, another):
            with pytest.raises(PixverseAuthError, match="no") as caught:
                await one.next_capacity()
            errors.append(caught.value)
        assert errors[0] is errors[1] is not errors[2]
        assert gate.is_idle
        await asyncio.sleep(1000)
        assert service.gaps == [10] * 7
    with gate.watch(10) as watcher:
        await watcher.next_capacity()


async def test_a_watcher_that_waits_is_woken_by_a_fatal_error(service, gate):
    service.errors = [NO] * 7
    with gate.watch(10) as watcher, pytest.raises(PixverseAuthError):
        await watcher.next_capacity()
    assert now() == 1060


@pytest.mark.service({A: 2})
async def test_a_tracker_ends_when_its_job_leaves_the_list(service, gate):
    job, other = service.start(A), service.start(A)
    async with in_background(follow(gate, job)) as [following]:
        await asyncio.sleep(25)
        service.end(other)
        await asyncio.sleep(10)
        assert not following.done()
        service.end(job)
        assert await following == (True, 1040)
        assert gate.is_idle
    await asyncio.sleep(100)
    assert service.gaps == [10] * 4


async def test_end_of_a_tracked_job_is_seen_soon_where_it_is_expected(service, gate):
    gate._forecast._durations["video"].extend([30.0] * 3)
    job = service.start(A)
    async with in_background(follow(gate, job, 60)) as [following]:
        await asyncio.sleep(33)
        service.end(job)
        assert await following == (True, 1034)
    assert service.gaps == [30, 2, 2]


async def test_job_that_is_late_or_of_an_unknown_kind_brings_no_poll_forward(service, gate):
    job = service.start(A)
    async with in_background(follow(gate, job, 60)):
        await asyncio.sleep(100)
        assert service.gaps == [60]
        gate._forecast._durations["video"].extend([50.0] * 3)
        await asyncio.sleep(100)
    assert service.gaps == [60, 60, 60]


@pytest.mark.service({A: 2})
async def test_job_that_is_not_tracked_brings_no_poll_forward(service, gate):
    gate._forecast._durations["video"].extend([30.0] * 3)
    service.start(A)
    with gate.watch(60) as watcher:
        for _ in range(2):
            await watcher.next_capacity()
    assert service.gaps == [60]


@pytest.mark.service({A: 2}, answer_seconds=3)
async def test_a_job_that_is_not_listed_is_gone_at_the_first_snapshot(gate):
    assert await follow(gate, "off-peak") == (False, 1003)


@pytest.mark.service({A: 2})
async def test_only_a_snapshot_made_since_a_tracker_came_counts_for_it(service, gate):
    """An earlier one does not list a job that was submitted a moment ago."""
    async with in_background(follow(gate, service.start(A))):
        await asyncio.sleep(1)
        job = service.start(A)
        with gate.track(job, 10, "") as tracker:
            await settle()
            assert tracker.is_listed is None
            await tracker.wait_until_listed()
            assert now() == 1010


@pytest.mark.service({A: 2})
async def test_a_job_that_is_listed_again_is_waited_for_again(service, gate):
    with gate.track("user:1-pixverse:a@example.com-video:9", 10) as tracker:
        assert await tracker.wait_until_unlisted() is False
        service.jobs[tracker.job_id] = A
        await tracker.wait_until_listed()
        service.end(tracker.job_id)
        assert await tracker.wait_until_unlisted() is True
        assert await tracker.wait_until_unlisted() is False, "it has not been listed since"
        assert now() == 1020


@pytest.mark.service({A: 3})
async def test_trackers_share_the_poll_of_waits_at_the_shortest_interval(service, gate):
    jobs = service.fill()
    async with in_background(
        wait(gate, poke_interval=30), *(follow(gate, job, 20) for job in jobs), follow(gate, jobs[0], 15)
    ):
        await asyncio.sleep(60)
    assert service.gaps == [15] * 4


@pytest.mark.service({A: 100})
async def test_only_the_tracker_of_a_job_that_ends_is_woken(service, gate):
    jobs = service.fill()
    async with in_background(*(follow(gate, job) for job in jobs)) as following:
        woken = []
        for tracker in gate._followers:
            tracker._change.set = lambda tracker=tracker: woken.append(tracker.job_id)
        await asyncio.sleep(15)
        service.end(jobs[7])
        await asyncio.sleep(10)
        assert woken == [jobs[7]]
        assert not any(task.done() for task in following)


async def test_a_tracker_stays_when_another_of_the_same_job_leaves(service, gate):
    job = service.start(A)
    async with in_background(follow(gate, job), follow(gate, job)) as [one, other]:
        one.cancel()
        await asyncio.sleep(5)
        service.end(job)
        assert await other == (True, 1010)


async def test_a_fatal_error_ends_no_tracking_and_slows_the_polls_down(service, gate):
    """The job is paid for, and a person can fix the token."""
    service.errors = [None, *[NO] * 8]
    [job] = service.fill()
    async with in_background(follow(gate, job)) as [following]:
        service.end(job)
        assert await following == (True, 1670)
    assert service.gaps == [10] * 7 + [300, 300]


async def test_a_tracker_that_comes_while_all_polls_are_refused_causes_one_poll(service, gate):
    service.errors = [NO] * 9
    [job] = service.fill()
    async with in_background(follow(gate, job)):
        await asyncio.sleep(100)
        with gate.track(job, 10) as tracker:
            await tracker.polled
            assert tracker.is_listed is None
            await asyncio.sleep(100)
    assert service.gaps == [10] * 6 + [40]


@pytest.mark.parametrize("interval", [None, "60", -1, float("nan"), float("inf")])
async def test_an_interval_that_cannot_be_used_is_refused(gate, interval):
    with (
        pytest.raises(ValueError, match=f"^a watcher cannot have the interval {interval!r}$"),
        gate.watch(interval),
    ):
        pass
    with (
        pytest.raises(ValueError, match=f"^a tracker cannot have the interval {interval!r}$"),
        gate.track("1", interval),
    ):
        pass
    assert gate.is_idle
