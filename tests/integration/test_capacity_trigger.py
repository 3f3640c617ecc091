"""PixverseCapacityTrigger: its parameters, and how its wait ends."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_pixverse.simulator import faults
from airflow_pixverse.triggers import pixverse
from airflow_pixverse.triggers.pixverse import PixverseCapacityEventTrigger, PixverseCapacityTrigger
from tests.helpers.dag_runs import AIRFLOW
from tests.helpers.trigger_runs import collect, payload, payload_of, requests, status, trigger

DAY = timedelta(days=1).total_seconds()


def test_kwargs_are_plain_json_make_the_same_trigger_and_hold_no_secret(sim):
    classpath, kwargs = trigger(slots=2, emails=["a-1@example.com"], lease=5.0).serialize()
    assert classpath == "airflow_pixverse.triggers.pixverse.PixverseCapacityTrigger"
    again = PixverseCapacityTrigger(**json.loads(json.dumps(kwargs)))
    assert again.serialize() == (classpath, kwargs)
    assert sim.token not in repr(again)


def test_each_kwarg_has_a_default(sim):
    assert payload_of(PixverseCapacityTrigger())["status"] == "success"
    assert payload_of(PixverseCapacityTrigger(slots=1, emails=None, poke_interval=1.0))["status"] == "success"


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 1})
async def test_urgent_wait_passes_and_dags_take_turns(sim):
    [job] = sim.fill()
    began = time.time()

    def begin(name, dag_id, since, **kwargs):
        one = trigger(timeout=600.0, waiting_since=began + since, **kwargs)
        one.task_instance = SimpleNamespace(task_id="wait", dag_id=dag_id, start_date=None)
        return asyncio.create_task(status(one), name=name)

    waits = {begin(f"many {number}", "many", number) for number in range(3)}
    waits |= {begin("single", "single", 5), begin("urgent", "many", 6, priority_weight=2)}
    await requests(sim, 2)
    ended = []
    while waits:
        sim.end_job(job)
        [first], waits = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        ended.append((first.get_name(), await first))
        if waits:
            [job] = sim.fill()
            await requests(sim, 2)  # in which the lease ends
    order = ["urgent", "many 0", "single", "many 1", "many 2"]
    assert ended == [(name, "success") for name in order]


def test_kwargs_of_a_newer_version_are_logged_and_ignored(sim, logged):
    one = trigger(priority="high")
    assert payload_of(one)["status"] == "success"
    assert "['priority'], which is ignored" in logged()
    assert one.serialize()[1]["priority"] == "high", "the newer version finds it again"


@pytest.mark.parametrize(
    "kwargs",
    [
        {"slots": "many"},
        {"slots": "{{ unrendered }}"},
        {"emails": []},
        {"poke_interval": None},
        {"lease": "long"},
        {"timeout": "soon"},
        {"waiting_since": "yesterday"},
        {"end_from_trigger": "perhaps"},
        {"priority_weight": 1.5},
    ],
    ids=str,
)
async def test_a_malformed_wait_ends_and_nobody_else_notices(sim, kwargs):
    jobs = sim.fill()

    other = asyncio.create_task(status(trigger()))
    await requests(sim, 1)
    ended = await payload(trigger(**kwargs))
    sim.end_job(jobs[0])
    assert ended["status"] == "fatal"
    assert ended["message"].startswith(next(iter(kwargs)))
    assert await other == "success"


def test_values_rendered_to_strings_are_understood(sim):
    accounts = payload_of(trigger(slots="2", emails="['A-1@example.com']"))["accounts"]
    assert [account["email"] for account in accounts] == ["a-1@example.com"]


def test_trigger_polls_once_however_short_its_timeout(sim):
    assert payload_of(trigger(timeout=0))["status"] == "success"
    sim.fill()
    assert payload_of(trigger(timeout=0))["status"] == "timeout"


async def test_timeout_holds_also_while_the_first_look_hangs(sim, monkeypatch):
    monkeypatch.setattr(pixverse, "FIRST_LOOK_WITHIN", 2)
    sim.inject(faults.slow(20), times=None)

    ended = await payload(trigger(timeout=0.2))
    assert not any(request.status for request in sim.requests), "no answer yet"
    assert ended["status"] == "timeout"


@pytest.mark.parametrize(
    ("limits", "end"),
    [
        ({"timeout": 10.0, "execution_timeout": 20.0}, "timeout"),
        ({"timeout": 20.0, "execution_timeout": 10.0}, "execution_timeout"),
    ],
    ids=str,
)
def test_trigger_that_missed_two_deadlines_ends_by_the_earlier_one(sim, limits, end):
    sim.fill()
    assert payload_of(trigger(waiting_since=time.time() - 3600, **limits))["status"] == end


def test_a_wait_that_began_in_the_trigger_takes_its_times_from_airflow(sim):
    sim.fill()
    begun = trigger(waiting_since=None, timeout=10)
    begun.timeout_after = datetime.now(UTC) + timedelta(seconds=60 - 0.5)  # so it began 10.5 s ago
    assert payload_of(begun)["status"] == "timeout"


@pytest.mark.parametrize("seconds", [100 * DAY, 10_000 * DAY])
async def test_a_timeout_of_many_years_does_not_put_a_wait_first(sim, seconds):
    jobs = sim.fill()

    one = trigger(waiting_since=None, timeout=seconds)
    # As the sensor defers: no longer than ten years.
    one.timeout_after = datetime.now(UTC) + timedelta(seconds=min(seconds + 60, 3650 * DAY))
    waits = [asyncio.create_task(status(other)) for other in (trigger(waiting_since=time.time() - 5), one)]
    await requests(sim, 2)
    sim.end_job(jobs[0])
    done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    assert done == {waits[0]}, "the one that has waited for longer is first"


async def test_execution_timeout_ends_it_even_in_the_middle_of_a_call(sim):
    sim.inject(faults.slow(20), times=None)

    assert await status(trigger(execution_timeout=1)) == "execution_timeout"
    assert not any(request.status for request in sim.requests), "no answer yet"


async def test_the_log_says_at_once_where_the_wait_stands_and_what_is_in_its_way(sim, logged):
    sim.fill()

    waiting = asyncio.create_task(payload(trigger(emails=["typo@example.com"])))
    await requests(sim, 2)
    waiting.cancel()
    log = logged()
    assert "place 1 of 1" in log
    assert "typo@example.com" in log


def test_the_timeout_says_where_the_wait_stood(sim):
    sim.fill()
    message = payload_of(trigger(timeout=0, slots=2))["message"]
    assert message == "not enough free slots within 0 s: place 1 of 1; 0 free, 2 wanted; 0 leased to others"


async def test_the_log_tells_of_the_place_in_the_queue_when_it_has_halved(sim, monkeypatch, logged):
    monkeypatch.setattr(pixverse, "_CHECK_PLACE_EVERY", 0.1)
    sim.fill()

    ahead = [asyncio.create_task(collect(trigger(waiting_since=time.time() - 9))) for _ in range(9)]
    one = asyncio.create_task(collect(trigger()))
    await requests(sim, 2)
    for task in ahead[:3]:
        task.cancel()
    await requests(sim, 2)
    for task in ahead[3:6]:
        task.cancel()
    await requests(sim, 2)
    for task in [*ahead, one]:
        task.cancel()
    log = logged()
    assert "place 10 of 10" in log
    assert "place 7 of 7" not in log, "not worth a line"
    assert "place 4 of 4" in log


@pytest.mark.skipif(AIRFLOW.release >= (3, 0), reason="for Airflow 2")
def test_watcher_on_airflow_2_says_that_it_needs_3():
    with pytest.raises(RuntimeError, match="needs Airflow 3"):
        PixverseCapacityEventTrigger()
