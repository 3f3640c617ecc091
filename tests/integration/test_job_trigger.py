"""PixverseJobTrigger: its parameters, how its wait ends, and what many of them share."""

import asyncio
import json
import threading
import time

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseAccessError
from airflow_pixverse.simulator import faults
from airflow_pixverse.triggerer import connection_client, shared_gates
from airflow_pixverse.triggerer.shared_gates import gate_of
from airflow_pixverse.triggers import job
from airflow_pixverse.triggers.job import PixverseJobTrigger
from airflow_pixverse.waits import job_progress
from tests.helpers.trigger_runs import payload, payload_of, requests, status

UNKNOWN = "user:1-pixverse:a-1@example.com-video:999"


def trigger(job_id, **kwargs):
    """A wait that looks often, and gives up after half a minute."""
    defaults = {"poke_interval": 0.2, "waiting_since": time.time(), "timeout": 30.0}
    return PixverseJobTrigger(**{"job_ids": [job_id], **defaults, **kwargs})


def result_calls(sim):
    """The requests for results."""
    return [request for request in sim.requests if "/scheduler/" not in request.path]


@pytest.fixture
def finished(sim):
    """A job that is finished."""
    job_id = sim.start_job()
    sim.end_job(job_id)
    return job_id


def test_kwargs_are_plain_json_make_the_same_trigger_and_hold_no_secret(sim):
    classpath, kwargs = trigger(UNKNOWN, execution_timeout=5.0).serialize()
    assert classpath == f"{PixverseJobTrigger.__module__}.PixverseJobTrigger"
    again = PixverseJobTrigger(**json.loads(json.dumps(kwargs)))
    assert again.serialize() == (classpath, kwargs)
    assert sim.token not in repr(again)


def test_each_kwarg_but_the_job_has_a_default(finished):
    assert payload_of(PixverseJobTrigger(job_ids=[finished]))["status"] == "finished"
    ended = payload_of(PixverseJobTrigger())
    assert ended["status"] == "fatal"
    assert ended["message"].startswith("job_ids must be")


def test_kwargs_of_a_newer_version_are_logged_and_ignored(finished, logged):
    one = trigger(finished, priority="high")
    assert payload_of(one)["status"] == "finished"
    assert "['priority'], which is ignored" in logged()
    assert one.serialize()[1]["priority"] == "high", "the newer version finds it again"


@pytest.mark.parametrize(
    "kwargs",
    [{"job_ids": None}, {"poke_interval": None}, {"timeout": "soon"}, {"waiting_since": "yesterday"}],
    ids=str,
)
async def test_a_malformed_wait_ends_and_nobody_else_notices(sim, kwargs):
    executing = sim.start_job()

    other = asyncio.create_task(status(trigger(executing)))
    await requests(sim, 1)
    ended = await payload(trigger(executing, **kwargs))
    sim.end_job(executing)
    assert ended["status"] == "fatal"
    assert ended["message"].startswith(next(iter(kwargs)))
    assert await other == "finished"


def test_a_failed_job_is_a_finished_one(sim):
    failed = sim.start_job()
    sim.end_job(failed, "failed", "no tail")
    ended = payload_of(trigger(failed))
    assert ended == {"status": "finished", "results": [{"id": failed, "is_finished": True}]}


def test_an_event_has_no_url_and_nothing_else_that_the_service_said(sim, finished):
    """Airflow logs it."""
    sim.link_seconds = 3600
    assert "://" not in json.dumps(payload_of(trigger(finished)))


async def test_the_ids_of_several_jobs_come_in_the_order_of_the_ids_once_all_are_finished(sim):
    first, second, third = (sim.start_job() for _ in range(3))

    one = asyncio.create_task(payload(trigger(None, job_ids=[third, first, second])))
    await requests(sim, 2)
    sim.end_job(second)
    sim.end_job(third, "failed", "no tail")
    await asyncio.to_thread(sim.wait_for_requests, sim.request_count + 4)
    assert not one.done()
    sim.end_job(first)
    ended = await one
    assert ended["status"] == "finished"
    assert ended["results"] == [{"id": job_id, "is_finished": True} for job_id in (third, first, second)]
    assert len(result_calls(sim)) == 3
    lists = [request for request in sim.requests if request.path.endswith("scheduler/available")]
    assert len(lists) == len(sim.requests) - 3, "all of them share one poll"


def test_a_timeout_names_the_jobs_that_are_not_finished_and_no_other(sim):
    executing = sim.start_job()
    failed = sim.start_job()
    sim.end_job(failed, "failed")
    ended = payload_of(trigger(None, job_ids=[executing, failed, UNKNOWN], timeout=2.0))
    assert ended["status"] == "timeout"
    assert f"job {executing} is not finished within 2 s: executing" in ended["message"]
    assert f"job {UNKNOWN} is not finished within 2 s" in ended["message"]
    assert failed not in ended["message"]


def test_trigger_at_its_timeout_reports_the_jobs_that_are_completed(sim, finished):
    executing = sim.start_job()
    ended = payload_of(trigger(None, job_ids=[executing, finished, UNKNOWN], timeout=2.0))
    assert ended["status"] == "finished"
    assert [job["is_finished"] for job in ended["results"]] == [False, True, False]


async def test_trigger_sends_nothing_before_the_timeout_while_other_jobs_execute(sim, finished):
    executing = sim.start_job()

    one = asyncio.create_task(payload(trigger(None, job_ids=[executing, finished])))
    await requests(sim, 4)
    assert not one.done()
    sim.end_job(executing)
    assert [job["is_finished"] for job in (await one)["results"]] == [True, True]


def test_a_job_that_is_named_twice_has_two_results(finished):
    ended = payload_of(trigger(None, job_ids=[finished, finished]))
    assert [result["id"] for result in ended["results"]] == [finished] * 2


@pytest.mark.parametrize("other", ["completed", "failed"])
async def test_a_fatal_error_of_one_of_several_jobs_ends_the_wait_for_that_one(sim, other):
    executing, ending = sim.start_job(), sim.start_job()
    sim.inject(faults.status(400, {"error": "no such thing"}), times=None, path=ending)

    one = asyncio.create_task(payload(trigger(None, job_ids=[executing, ending])))
    await requests(sim, 2)
    sim.end_job(ending)
    await requests(sim, 4)
    assert not one.done()
    sim.end_job(executing, other)
    ended, is_idle = await one, gate_of("pixverse_default").is_idle
    if other == "completed":
        assert [job["is_finished"] for job in ended["results"]] == [True, False]
    else:
        assert ended["status"] == "fatal"
        assert "no such thing" in ended["message"]
    assert is_idle


def test_trigger_polls_once_however_short_its_timeout(sim, finished):
    assert payload_of(trigger(finished, timeout=0))["status"] == "finished"
    assert payload_of(trigger(UNKNOWN, timeout=0))["status"] == "timeout"
    assert payload_of(trigger(sim.start_job(), timeout=0))["status"] == "timeout"


async def test_timeout_holds_also_while_the_first_look_hangs(sim, monkeypatch):
    monkeypatch.setattr(job, "FIRST_LOOK_WITHIN", 2)
    sim.inject(faults.slow(20), times=None)

    ended = await payload(trigger(UNKNOWN, timeout=0.2))
    assert not any(request.status for request in sim.requests), "no answer yet"
    assert ended["status"] == "timeout"


def test_execution_timeout_ends_it_even_in_the_middle_of_a_call(sim, finished):
    payload_of(trigger(finished))  # imports, which the deadline is not about
    sim.inject(faults.slow(3600), times=None, path=finished)

    async def main():
        return await status(trigger(finished, execution_timeout=4)), result_calls(sim)[-1].status

    assert asyncio.run(main()) == ("execution_timeout", None), "no answer yet"


@pytest.fixture
def unlisted_jobs_a_minute_apart(monkeypatch):
    """The pause between two polls of a job that is not listed is as long as for users."""
    monkeypatch.setattr(job_progress, "_UNLISTED", 60.0)


@pytest.mark.usefixtures("unlisted_jobs_a_minute_apart")
async def test_a_job_that_is_not_listed_is_asked_for_once_a_minute(sim):
    one = asyncio.create_task(status(trigger(UNKNOWN)))
    await requests(sim, 8)
    one.cancel()
    assert len(result_calls(sim)) == 1


@pytest.mark.usefixtures("unlisted_jobs_a_minute_apart")
async def test_job_that_comes_to_be_listed_is_followed_from_then_on(sim):
    # The simulator numbers its jobs, so the next one has this id.
    one = asyncio.create_task(status(trigger("user:1-pixverse:a-1@example.com-video:1")))
    await requests(sim, 3)
    started = sim.start_job("a-1@example.com")
    await requests(sim, 3)
    sim.end_job(started)
    assert started.endswith("video:1")
    assert await one == "finished", "long before a minute is over"
    assert [request.status for request in result_calls(sim)] == [404, 200]


async def test_many_jobs_share_one_poll_and_few_calls_at_a_time(sim, monkeypatch):
    running, most = 0, 0
    lock = threading.Lock()
    get_result = PixverseClient.get_result

    def counted(self, job_id):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return get_result(self, job_id)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(PixverseClient, "get_result", counted)
    jobs = [sim.start_job(website=True, email="a-1@example.com") for _ in range(3)]
    jobs += [sim.start_job("a-2@example.com") for _ in range(3)]
    sim.end_all_jobs()
    sim.inject(faults.slow(0.2), times=None, path="video:1")

    ended = await asyncio.gather(*(status(trigger(job_id)) for job_id in jobs * 5))
    assert ended == ["finished"] * 30
    assert 1 < most <= shared_gates._RESULT_CALLS
    assert len(result_calls(sim)) == 30
    lists = [request for request in sim.requests if request.path.endswith("scheduler/available")]
    assert len(lists) <= (lists[-1].monotonic - lists[0].monotonic) / 0.2 + 1


async def test_a_cancelled_wait_leaves_nothing_behind_but_a_call_under_way(sim, finished):
    sim.inject(faults.slow(0.5), path=finished)

    one = asyncio.create_task(status(trigger(finished)))
    await requests(sim, 2)
    one.cancel()
    await asyncio.wait({one})
    assert gate_of("pixverse_default").is_idle
    assert (one.cancelled(), await status(trigger(finished))) == (True, "finished")


async def test_a_wait_that_is_to_begin_later_asks_for_nothing_before(sim, finished):
    at = time.time() + 1
    assert await status(trigger(finished, first_poll_at=at)) == "finished"
    assert min(request.wall for request in sim.requests) >= at


def test_wait_that_is_to_begin_after_its_timeout_polls_once(finished):
    assert (
        payload_of(trigger(finished, timeout=0.5, first_poll_at=time.time() + 3600))["status"] == "finished"
    )


def test_a_connection_that_is_not_found_ends_no_wait(sim, monkeypatch, finished):
    """A triggerer that starts while a secrets backend knows nothing of it."""
    monkeypatch.setattr(job_progress, "UNSEEN", 0.2)
    monkeypatch.setattr(job_progress, "SLOW_LOOK", 0.2)
    read, missing = connection_client.read_connection_async, [PixverseAccessError("it is not defined")] * 6

    async def read_or_fail(conn_id):
        if missing:
            raise missing.pop()
        return await read(conn_id)

    monkeypatch.setattr(connection_client, "read_connection_async", read_or_fail)
    assert payload_of(trigger(finished))["status"] == "finished"
    assert not missing


async def test_a_token_that_is_rotated_ends_no_wait(sim, monkeypatch):
    monkeypatch.setattr(connection_client, "_LIFETIME", 0.0)
    executing = sim.start_job()

    waits = [asyncio.create_task(status(trigger(executing))) for _ in range(2)]
    await requests(sim, 2)
    sim.token = "user:1-rotated"
    monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))
    await requests(sim, 3)
    sim.end_job(executing)
    assert await asyncio.gather(*waits) == ["finished"] * 2


async def test_waits_for_slots_and_for_jobs_share_one_poll_and_move_together(sim, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SAME_TOKEN", json.dumps(sim.connection))
    executing = sim.start_job()

    waits = [
        asyncio.create_task(status(trigger(executing, pixverse_conn_id=conn_id)))
        for conn_id in ("pixverse_default", "same_token")
    ]
    await requests(sim, 3)
    assert gate_of("pixverse_default") is gate_of("same_token")
    sim.end_job(executing)
    assert await asyncio.gather(*waits) == ["finished"] * 2
