"""Who tracks a job is told when it leaves the list, on the polls that are made for all."""

import asyncio

import pytest

from airflow_pixverse.api.errors import PixverseAuthError, PixverseTransientError
from airflow_pixverse.api.models import Capacity
from airflow_pixverse.gate import GateMovedError
from airflow_pixverse.gate.tracker import Tracker, Trackers
from tests.unit.gate.service import A, Service, in_background, settle, wait
from tests.unit.gate.virtual_time import now, on_virtual_time


async def follow(gate, job_id, interval=10.0, connection=""):
    """When a job was gone, and whether it has been seen."""
    with gate.track(job_id, interval, connection) as tracker:
        return await tracker.gone(), now()


@on_virtual_time
async def test_it_ends_when_the_job_leaves_the_list():
    service = Service({A: 2})
    job, other = service.start(A), service.start(A)
    async with in_background(follow(service.gate(), job)) as [following]:
        await asyncio.sleep(25)
        service.end(other)
        await asyncio.sleep(10)
        assert not following.done()
        service.end(job)
        assert await following == (True, 1040)
    assert service.gaps == [10] * 4


@on_virtual_time
async def test_a_job_that_is_not_listed_is_gone_at_the_first_snapshot():
    service = Service({A: 2}, answer_seconds=3)
    assert await follow(service.gate(), "off-peak") == (False, 1003)


@on_virtual_time
async def test_only_a_snapshot_made_since_it_came_counts():
    """An earlier one does not list a job that was submitted a moment ago."""
    service = Service({A: 2})
    gate = service.gate()
    async with in_background(follow(gate, service.start(A))):
        await asyncio.sleep(1)
        job = service.start(A)
        with gate.track(job, 10, "") as tracker:
            await settle()
            assert tracker.is_listed is None
            await tracker.listed()
            assert now() == 1010


@on_virtual_time
async def test_a_job_that_is_listed_again_is_told_of_again():
    service = Service({A: 2})
    with service.gate().track("user:1-pixverse:a@example.com-video:9", 10) as tracker:
        assert await tracker.gone() is False
        service.jobs[tracker.job_id] = A
        await tracker.listed()
        service.end(tracker.job_id)
        assert await tracker.gone() is True
        assert await tracker.gone() is False, "it has not been listed since"
        assert now() == 1020


@on_virtual_time
async def test_many_share_the_poll_of_those_who_wait_and_the_shortest_interval_counts():
    service = Service({A: 3})
    jobs = service.fill()
    gate = service.gate()
    async with in_background(
        wait(gate, poke_interval=30), *(follow(gate, job, 20) for job in jobs), follow(gate, jobs[0], 15)
    ):
        await asyncio.sleep(60)
    assert service.gaps == [15] * 4


@on_virtual_time
async def test_of_many_only_those_are_woken_for_whom_a_snapshot_is_news(monkeypatch):
    told = []
    show = Tracker.show

    def record(self, *, is_listed):
        told.append(self.job_id)
        show(self, is_listed=is_listed)

    monkeypatch.setattr(Tracker, "show", record)
    service = Service({A: 1000})
    jobs = service.fill()
    gate = service.gate()
    async with in_background(*(follow(gate, job) for job in jobs)):
        await asyncio.sleep(15)
        assert len(told) == 1000, "each once, at two polls"
        service.end(jobs[7])
        await asyncio.sleep(10)
        assert told[1000:] == [jobs[7]]
    assert len(service.calls) == 3


def test_the_ids_of_a_snapshot_are_read_once_for_all():
    reads = []

    class Job:
        def __init__(self, job_id):
            self._id = job_id

        @property
        def id(self):
            reads.append(self._id)
            return self._id

    async def main():
        trackers = Trackers()
        for number in range(100):
            trackers.add(Tracker(f"job-{number}", 10, ""))
        snapshot = Capacity()
        snapshot.executing = [Job(f"job-{number}") for number in range(50)]
        for _ in range(3):
            reads.clear()
            trackers.show(snapshot)
            assert len(reads) <= 2 * 50
        return sum(tracker.is_listed for tracker in trackers)

    assert asyncio.run(main()) == 50


@on_virtual_time
async def test_two_who_track_the_same_job_are_both_told():
    service = Service({A: 1})
    job = service.start(A)
    gate = service.gate()
    async with in_background(follow(gate, job), follow(gate, job)) as [one, other]:
        one.cancel()
        await asyncio.sleep(5)
        service.end(job)
        assert await other == (True, 1010)


@on_virtual_time
async def test_transient_trouble_ends_nothing_and_counts_as_a_poll():
    service = Service({A: 1}, errors=[PixverseTransientError("busy")] * 3)
    job = service.start(A)
    with service.gate().track(job, 10) as tracker:
        await tracker.polled
        assert (now(), tracker.is_listed) == (1000, None)
        await tracker.listed()
        assert len(service.calls) == 4


@on_virtual_time
async def test_a_fatal_error_ends_all_once_it_was_met_twice():
    service = Service({A: 1}, errors=[None, PixverseAuthError("no"), PixverseAuthError("no")])
    jobs = service.fill()
    gate = service.gate()
    async with in_background(follow(gate, jobs[0]), follow(gate, jobs[0])) as following:
        ended = await asyncio.gather(*following, return_exceptions=True)
    assert [type(error) for error in ended] == [PixverseAuthError] * 2
    assert ended[0] is not ended[1]
    assert now() == 1015
    assert gate.is_idle


@on_virtual_time
async def test_a_connection_that_moves_takes_its_trackers_along():
    service = Service({A: 1})
    job = service.start(A)
    gate = service.gate()
    async with in_background(follow(gate, job, connection="one"), follow(gate, job, connection="two")) as [
        moved,
        stays,
    ]:
        await asyncio.sleep(1)
        assert gate.connections == {"one", "two"}
        gate.move_out("one")
        with pytest.raises(GateMovedError):
            await moved
        assert gate.connections == {"two"}
        service.end(job)
        assert await stays == (True, 1010)


@on_virtual_time
async def test_when_the_last_has_left_there_is_no_poll_any_more():
    service = Service({A: 1})
    job = service.start(A)
    gate = service.gate()
    async with in_background(follow(gate, job)):
        assert not gate.is_idle
    await asyncio.sleep(100)
    assert gate.is_idle
    assert len(service.calls) == 1


@on_virtual_time
@pytest.mark.parametrize("interval", [-1.0, float("nan"), float("inf"), None, "soon"])
async def test_an_interval_that_cannot_be_used_is_refused(interval):
    gate = Service({A: 1}).gate()
    with pytest.raises(ValueError, match="interval"), gate.track("job", interval):
        pass
    assert gate.is_idle
