"""Waits for a slot for one job: the ticket, what the gate is told, and what comes back with the event."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest

from airflow_pixverse.triggerer import connection_client
from airflow_pixverse.triggerer.shared_gates import gate_of
from airflow_pixverse.triggers import pixverse
from airflow_pixverse.triggers.job import PixverseJobTrigger
from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger
from airflow_pixverse.triggers.release import PixverseReleaseTrigger
from tests.helpers.trigger_runs import payload, payload_of, requests, status, trigger

STATE = {"refusals": 2, "payload": {"prompt": "a cat"}, "job_ids": []}


# A service with one slot.
pytestmark = pytest.mark.pixverse_simulator(accounts={"a@example.com": 1})


def ticket_trigger(**kwargs):
    """A wait for a slot for one job."""
    return trigger(**{"ticket": True, "lease": 60.0, **kwargs})


def told(reference, update):
    """Return the update that a trigger has for the gate."""
    return {"reference": reference, "update": update}


async def reference_of(one):
    """Wait for a slot, and return the reference that it is kept for."""
    return (await payload(one))["ticket"]["reference"]


def test_the_event_has_a_ticket_that_says_for_which_job_the_slot_is_kept_and_for_how_long(sim):
    before = time.time()
    event = payload_of(ticket_trigger(waiting_since=before - 5))
    assert event.keys() == {"status", "accounts", "ticket", "waiting_since"}
    assert event["status"] == "success"
    assert [account["email"] for account in event["accounts"]] == ["a@example.com"]
    assert event["ticket"].keys() == {"reference", "lease"}, "no moment, which only one clock could read"
    assert event["ticket"]["lease"] == 60.0
    assert event["waiting_since"] == before - 5


def test_event_of_a_wait_without_a_ticket_has_none(sim):
    assert payload_of(trigger()).keys() == {"status", "accounts"}


def test_the_lease_of_a_ticket_has_the_default_where_none_is_given_however_rarely_it_looks(sim):
    assert payload_of(ticket_trigger(lease=None))["ticket"]["lease"] == 120.0
    assert payload_of(ticket_trigger(lease=None, poke_interval=3600.0))["ticket"]["lease"] == 120.0


def test_one_trigger_makes_another_reference_each_time_that_it_runs(sim):
    """As it does for all runs of a task whose wait begins in the trigger."""
    one = ticket_trigger()
    references = {payload_of(one)["ticket"]["reference"] for _ in range(3)}
    assert len(references) == 3
    assert all(len(reference) >= 16 and "#" not in reference for reference in references)


async def test_the_job_with_the_reference_ends_the_lease_and_no_other_job_does(sim):
    reference = await reference_of(ticket_trigger(emails=["a@example.com"]))
    sim.set_max_jobs("a@example.com", 3)
    sim.start_job(reply_ref="airflow:dag/run/task/-1#somebody")
    two = asyncio.create_task(status(ticket_trigger()))
    three = asyncio.create_task(status(ticket_trigger()))
    await requests(sim, 3)
    assert await two == "success"
    assert not three.done(), "one slot is taken, one is kept for the first, and one for the second"
    sim.set_max_jobs("a@example.com", 4)
    sim.start_job(reply_ref=f"airflow:dag/run/task/-1#{reference}")
    assert await three == "success"


async def test_retry_takes_over_the_slot_of_its_earlier_try_with_a_reference_of_its_own(sim):
    """The earlier try has failed before it submitted (apache/airflow#72716)."""
    tries = [ticket_trigger(lease=600.0) for _ in range(2)]
    for one in tries:
        one.task_instance = SimpleNamespace(
            dag_id="dag", run_id="run", task_id="task", map_index=3, try_number=1
        )
    events = [await payload(one) for one in tries]
    assert [event["status"] for event in events] == ["success"] * 2
    assert len({event["ticket"]["reference"] for event in events}) == 2
    following = asyncio.create_task(status(ticket_trigger()))
    await requests(sim, 2)
    assert not following.done(), "the slot is kept for the second try"
    following.cancel()


@pytest.mark.parametrize("waiting", ["at the gate", "for the gate", "for a job", "for nothing"])
async def test_a_released_slot_is_given_on_whichever_trigger_tells_it(sim, waiting):
    executing = "user:1-pixverse:a@example.com-video:999"
    tellers = {
        "at the gate": lambda update: ticket_trigger(lease_update=update),
        "for the gate": lambda update: ticket_trigger(lease_update=update, first_poll_at=time.time() + 20),
        "for a job": lambda update: PixverseJobTrigger(
            job_ids=[executing], poke_interval=0.2, lease_update=update
        ),
        "for nothing": lambda update: PixverseReleaseTrigger(lease_update=update),
    }

    reference = await reference_of(ticket_trigger())
    following = asyncio.create_task(status(ticket_trigger()))
    await requests(sim, 2)
    assert not following.done()
    teller = asyncio.create_task(payload(tellers[waiting](told(reference, "released"))))
    async with asyncio.timeout(15):
        assert await following == "success"
    teller.cancel()


async def test_lease_update_is_sent_before_a_pause(sim):
    reference = await reference_of(ticket_trigger())
    pausing = ticket_trigger(lease_update=told(reference, "released"), first_poll_at=time.time() + 3600)
    pause = asyncio.create_task(status(pausing))
    ended = await status(ticket_trigger())
    assert not pause.done()
    pause.cancel()
    assert ended == "success"


async def test_an_accepted_job_that_is_never_listed_gives_its_slot_on(sim):
    """As an off-peak job, or one of the website."""

    reference = await reference_of(ticket_trigger())
    following = asyncio.create_task(status(ticket_trigger()))
    await requests(sim, 2)
    assert not following.done()
    await payload(PixverseReleaseTrigger(lease_update=told(reference, "accepted")))
    assert await following == "success"


async def test_the_slot_of_a_refused_job_is_kept_from_all_for_longer_than_its_lease(sim):
    reference = await reference_of(ticket_trigger(lease=0.5))
    await payload(PixverseReleaseTrigger(lease_update=told(reference, "refused")))
    again = asyncio.create_task(status(ticket_trigger(timeout=2.0, lease_update=told(reference, "released"))))
    assert (await again, gate_of("pixverse_default").is_idle) == ("timeout", False), (
        "nobody can give back what belongs to nobody"
    )


def test_release_trigger_ends_at_once_without_a_request_whatever_its_update(sim):
    one = PixverseReleaseTrigger(lease_update=told("unheard-of", "released"), state=STATE)
    assert payload_of(one) == {"status": "released", "state": STATE}
    assert payload_of(PixverseReleaseTrigger()) == {"status": "released"}
    assert sim.request_count == 0
    classpath, kwargs = one.serialize()
    assert classpath == f"{PixverseReleaseTrigger.__module__}.PixverseReleaseTrigger"
    assert PixverseReleaseTrigger(**json.loads(json.dumps(kwargs))).serialize() == (classpath, kwargs)


def test_state_comes_back_with_every_end(sim):
    executing = sim.start_job()
    job = {"job_ids": [executing], "poke_interval": 0.2, "state": STATE}
    ends = {
        "timeout": [trigger(timeout=0, state=STATE), PixverseJobTrigger(**job, timeout=0)],
        "execution_timeout": [trigger(execution_timeout=0, state=STATE)],
        "fatal": [
            trigger(pixverse_conn_id="nowhere", state=STATE),
            trigger(slots="many", state=STATE),
            PixverseJobTrigger(state=STATE),
            PixverseReleaseTrigger(lease_update="good", state=STATE),
        ],
        "released": [PixverseReleaseTrigger(state=STATE)],
    }
    for end, triggers in ends.items():
        for one in triggers:
            event = payload_of(one)
            assert (event["status"], event["state"]) == (end, STATE)
    sim.end_job(executing)
    assert payload_of(ticket_trigger(state=STATE))["state"] == STATE
    assert payload_of(PixverseJobTrigger(**job))["state"] == STATE


def test_state_comes_back_with_an_error_of_the_trigger_itself(sim, monkeypatch):
    monkeypatch.setattr(pixverse, "gate_of", lambda *_: 1 / 0)
    event = payload_of(trigger(state=STATE))
    assert (event["status"], event["state"]) == ("error", STATE)


def test_a_state_that_is_none_or_no_object_does_not_come_back(sim):
    assert "state" not in payload_of(trigger(state=None))
    event = payload_of(trigger(state="{}"))
    assert event["status"] == "fatal"
    assert event["message"].startswith("state must be")
    assert "state" not in event


@pytest.mark.parametrize(
    "update", ["released", {"reference": 7, "update": "released"}, told("one", "lost")], ids=str
)
def test_a_lease_update_that_cannot_be_read_ends_this_wait_only(sim, update):
    event = payload_of(trigger(lease_update=update))
    assert event["status"] == "fatal"
    assert event["message"].startswith("lease_update must be")


async def test_a_ticket_outlives_a_token_that_is_rotated(sim, monkeypatch):
    """Its update goes to the gate that the connection has now, which has a copy of the lease."""
    monkeypatch.setattr(connection_client, "_LIFETIME", 0.0)
    monkeypatch.setenv("AIRFLOW_CONN_SAME_TOKEN", json.dumps(sim.connection))

    reference = await reference_of(ticket_trigger())
    waits = [
        asyncio.create_task(status(ticket_trigger(pixverse_conn_id=conn_id)))
        for conn_id in ("pixverse_default", "same_token")
    ]
    await requests(sim, 3)
    before = gate_of("pixverse_default")
    sim.token = "user:2-rotated"
    for name in ("PIXVERSE_DEFAULT", "SAME_TOKEN"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(sim.connection))
    await requests(sim, 6)
    after = gate_of("pixverse_default")
    assert not any(wait.done() for wait in waits)
    await payload(PixverseReleaseTrigger(lease_update=told(reference, "released")))
    done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in pending:
        wait.cancel()
    assert (len(done), before is after) == (1, False)


def test_kwargs_of_the_capacity_trigger_survive_json_with_all_that_a_submit_needs(sim):
    kwargs = {"state": STATE, "lease_update": told("one", "refused"), "ticket": True}
    classpath, written = trigger(**kwargs).serialize()
    assert kwargs.items() <= written.items()
    assert PixverseCapacityTrigger(**json.loads(json.dumps(written))).serialize() == (classpath, written)
