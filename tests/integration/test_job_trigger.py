"""PixverseJobTrigger: its parameters, how its wait ends, and what many of them share."""

import asyncio
import json
import threading
import time

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.simulator import faults
from airflow_pixverse.triggers import connection_client, job, shared_gates
from airflow_pixverse.triggers.job import PixverseJobTrigger
from airflow_pixverse.triggers.shared_gates import gate_of
from tests.integration.trigger_runs import payload, payload_of, requests, status

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
def test_a_malformed_wait_ends_and_nobody_else_notices(sim, kwargs):
    executing = sim.start_job()

    async def main():
        other = asyncio.create_task(status(trigger(executing)))
        await requests(sim, 1)
        ended = await payload(trigger(executing, **kwargs))
        sim.end_job(executing)
        return ended, await other

    malformed, other = asyncio.run(main())
    assert malformed["status"] == "fatal"
    assert malformed["message"].startswith(next(iter(kwargs)))
    assert other == "finished"


def test_a_failed_job_is_a_finished_one_whose_result_says_why(sim):
    failed = sim.start_job()
    sim.end_job(failed, "failed", "no tail")
    ended = payload_of(trigger(failed))
    assert (ended["status"], ended["results"][0]["state"]) == ("finished", "FAILED")
    assert ended["results"][0]["fail_reason"] == "no tail"


def test_the_results_of_several_jobs_come_in_the_order_of_the_ids_once_all_are_finished(sim):
    first, second, third = (sim.start_job() for _ in range(3))

    async def main():
        one = asyncio.create_task(payload(trigger(None, job_ids=[third, first, second])))
        await requests(sim, 2)
        sim.end_job(second)
        sim.end_job(third, "failed", "no tail")
        await asyncio.to_thread(sim.wait_for_requests, sim.request_count + 4)
        assert not one.done()
        sim.end_job(first)
        return await one

    ended = asyncio.run(main())
    assert ended["status"] == "finished"
    assert [result["id"] for result in ended["results"]] == [third, first, second]
    assert [result["state"] for result in ended["results"]] == ["FAILED", "COMPLETED", "COMPLETED"]
    assert len(result_calls(sim)) == 3
    lists = [request for request in sim.requests if request.path.endswith("scheduler/available")]
    assert len(lists) == len(sim.requests) - 3, "all of them share one poll"


def test_a_timeout_names_the_jobs_that_are_not_finished_and_no_other(sim, finished):
    executing = sim.start_job()
    ended = payload_of(trigger(None, job_ids=[executing, finished, UNKNOWN], timeout=2.0))
    assert ended["status"] == "timeout"
    assert f"job {executing} is not finished within 2 s: executing" in ended["message"]
    assert f"job {UNKNOWN} is not finished within 2 s" in ended["message"]
    assert finished not in ended["message"]


def test_a_job_that_is_named_twice_has_two_results(finished):
    ended = payload_of(trigger(None, job_ids=[finished, finished]))
    assert [result["id"] for result in ended["results"]] == [finished] * 2


def test_a_fatal_error_of_one_of_several_jobs_ends_the_wait(sim):
    executing, ending = sim.start_job(), sim.start_job()
    sim.inject(faults.status(401), times=None, path=ending)

    async def main():
        one = asyncio.create_task(payload(trigger(None, job_ids=[executing, ending])))
        await requests(sim, 2)
        sim.end_job(ending)
        return await one, gate_of("pixverse_default").is_idle

    ended, is_idle = asyncio.run(main())
    assert ended["status"] == "fatal"
    assert "401" in ended["message"]
    assert is_idle, "the other job is not followed any more"


def test_it_looks_once_however_short_the_timeout(sim, finished):
    assert payload_of(trigger(finished, timeout=0))["status"] == "finished"
    assert payload_of(trigger(UNKNOWN, timeout=0))["status"] == "timeout"
    assert payload_of(trigger(sim.start_job(), timeout=0))["status"] == "timeout"


def test_timeout_holds_also_while_the_first_look_hangs(sim, monkeypatch):
    monkeypatch.setattr(job, "FIRST_LOOK_WITHIN", 2)
    sim.inject(faults.slow(20), times=None)

    async def main():
        ended = await payload(trigger(UNKNOWN, timeout=0.2))
        return ended, [request.status for request in sim.requests]

    ended, answers = asyncio.run(main())
    assert ended["status"] == "timeout"
    assert not any(answers), "no answer yet"


def test_execution_timeout_ends_it_even_in_the_middle_of_a_call(sim, finished):
    payload_of(trigger(finished))  # imports, which the deadline is not about
    sim.inject(faults.slow(3600), times=None, path=finished)

    async def main():
        return await status(trigger(finished, execution_timeout=4)), result_calls(sim)[-1].status

    assert asyncio.run(main()) == ("execution_timeout", None), "no answer yet"


def test_a_job_that_is_not_listed_is_asked_for_once_a_minute(sim):
    async def main():
        one = asyncio.create_task(status(trigger(UNKNOWN)))
        await requests(sim, 8)
        one.cancel()

    asyncio.run(main())
    assert len(result_calls(sim)) == 1


def test_one_that_comes_to_be_listed_in_the_meantime_is_followed_from_then_on(sim):
    async def main():
        # The simulator numbers its jobs, so the next one has this id.
        one = asyncio.create_task(status(trigger("user:1-pixverse:a-1@example.com-video:1")))
        await requests(sim, 3)
        started = sim.start_job("a-1@example.com")
        await requests(sim, 3)
        sim.end_job(started)
        return await one, started

    ended, started = asyncio.run(main())
    assert started.endswith("video:1")
    assert ended == "finished", "long before a minute is over"
    assert [request.status for request in result_calls(sim)] == [404, 200]


def test_many_jobs_share_one_poll_and_few_calls_at_a_time(sim, monkeypatch):
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

    async def main():
        return await asyncio.gather(*(status(trigger(job_id)) for job_id in jobs * 5))

    assert asyncio.run(main()) == ["finished"] * 30
    assert 1 < most <= shared_gates._RESULT_CALLS
    assert len(result_calls(sim)) == 30
    lists = [request for request in sim.requests if request.path.endswith("scheduler/available")]
    assert len(lists) <= (lists[-1].monotonic - lists[0].monotonic) / 0.2 + 1


def test_a_cancelled_wait_leaves_nothing_behind_but_a_call_under_way(sim, finished):
    sim.inject(faults.slow(0.5), path=finished)

    async def main():
        one = asyncio.create_task(status(trigger(finished)))
        await requests(sim, 2)
        one.cancel()
        await asyncio.wait({one})
        assert gate_of("pixverse_default").is_idle
        return one.cancelled(), await status(trigger(finished))

    assert asyncio.run(main()) == (True, "finished")


def test_a_token_that_is_rotated_ends_no_wait(sim, monkeypatch):
    monkeypatch.setattr(connection_client, "_LIFETIME", 0.0)
    executing = sim.start_job()

    async def main():
        waits = [asyncio.create_task(status(trigger(executing))) for _ in range(2)]
        await requests(sim, 2)
        sim.token = "user:2-rotated"
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))
        await requests(sim, 3)
        sim.end_job(executing)
        return await asyncio.gather(*waits)

    assert asyncio.run(main()) == ["finished"] * 2


def test_waits_for_slots_and_for_jobs_share_one_poll_and_move_together(sim, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SAME_TOKEN", json.dumps(sim.connection))
    executing = sim.start_job()

    async def main():
        waits = [
            asyncio.create_task(status(trigger(executing, pixverse_conn_id=conn_id)))
            for conn_id in ("pixverse_default", "same_token")
        ]
        await requests(sim, 3)
        assert gate_of("pixverse_default") is gate_of("same_token")
        sim.end_job(executing)
        return await asyncio.gather(*waits)

    assert asyncio.run(main()) == ["finished"] * 2
