"""Waits that the triggerer ends, and where those begin that ask for it; tests/e2e has a triggerer."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest
from airflow.providers.common.compat.sdk import DAG, Asset, task
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from airflow_pixverse.capabilities import PUSHES_FROM_TRIGGERER
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.triggerer import task_end
from airflow_pixverse.triggers.job import PixverseJobTrigger
from airflow_pixverse.waits.deadlines import SAFETY_NET
from tests.helpers.asset_events import register
from tests.helpers.dag_runs import AIRFLOW, new_dag, run
from tests.helpers.submits import ending_jobs, submitting
from tests.helpers.trigger_runs import events_of

ROOT = Path(__file__).parents[2]
BEGINS_IN_TRIGGER = AIRFLOW.release < (3, 0) or AIRFLOW.release >= (3, 3)
RENDERS_IN_TRIGGER = AIRFLOW.release >= (3, 3)


def sensor(**kwargs):
    with DAG("begin", schedule=None, **kwargs.pop("dag", {})):

        @task
        def emails():
            return ["a-1@example.com"]

        if kwargs.get("emails") == "another task":
            kwargs["emails"] = emails()
        return PixverseCapacitySensor(task_id="wait", timeout=60, poke_interval=1, **kwargs)


@pytest.mark.parametrize("flags", [{"end_from_trigger": True}, {"start_from_trigger": True}], ids=str)
def test_both_imply_deferral_and_run_with_dag_test(sim, flags):
    with new_dag("implied") as dag:
        PixverseCapacitySensor(task_id="wait", **flags)
    outcome = run(dag)
    assert outcome.state("wait") == "success"
    assert len(outcome.xcom("wait")) == 2


def test_mapped_tasks_begin_on_a_worker_each_with_its_own_parameters(sim):
    with new_dag("mapped_start") as dag:
        PixverseCapacitySensor.partial(
            task_id="wait", start_from_trigger=True, end_from_trigger=True, poke_interval=1
        ).expand(emails=["a-1@example.com", "a-2@example.com"])
    outcome = run(dag)
    assert [[account["email"] for account in accounts] for accounts in outcome.xcoms["wait"]] == [
        ["a-1@example.com"],
        ["a-2@example.com"],
    ]


@pytest.mark.parametrize(
    ("parameters", "begins_in_trigger"),
    [
        ({}, BEGINS_IN_TRIGGER),
        ({"emails": ["a-1@example.com"], "slots": 2}, BEGINS_IN_TRIGGER),
        ({"slots": "{{ params.slots }}"}, RENDERS_IN_TRIGGER),
        ({"emails": ["{{ dag_run.conf['email'] | lower }}"]}, RENDERS_IN_TRIGGER),
        ({"emails": "{% for n in range(2) %}{{ ds | ds_nodash }}{{ n }}{% endfor %}"}, RENDERS_IN_TRIGGER),
        ({"emails": "{% if ds is defined %}a@example.com{% endif %}"}, RENDERS_IN_TRIGGER),
        ({"emails": "{{ macros.uuid.uuid4() }}"}, RENDERS_IN_TRIGGER),
        ({"emails": "{{ ti.xcom_pull('before') }}"}, False),
        ({"emails": "{{ ti['xcom_' ~ 'pull']('before') }}"}, False),
        ({"emails": "{{ var.value.email }}"}, False),
        ({"pixverse_conn_id": "{{ conn.other.conn_id }}"}, False),
        ({"emails": "{{ task.own_attribute }}"}, False),
        ({"emails": "{{ prev_start_date_success }}"}, False),
        ({"emails": "{{ my_macro() }}", "dag": {"user_defined_macros": {"my_macro": str}}}, False),
        ({"emails": "{{ ds }}", "dag": {"user_defined_macros": {"ds": "shadowed"}}}, False),
        ({"emails": "{{ ds | mine }}", "dag": {"user_defined_filters": {"mine": str}}}, False),
        ({"emails": "{{ ds }}", "dag": {"user_defined_macros": {"other": str}}}, RENDERS_IN_TRIGGER),
        ({"emails": "{{ ds is mine }}"}, False),
        ({"emails": "{% if ds %}{{ ds | mine }}{% endif %}"}, False),
        ({"emails": "{{ params.emails | map('mine') | list }}"}, False),
        ({"emails": "{{ ds }}", "dag": {"template_undefined": jinja2.Undefined}}, False),
        ({"emails": "{% include 'email.txt' %}"}, False),
        ({"emails": "{{ broken"}, False),
        ({"emails": "[[ ds ]]", "dag": {"jinja_environment_kwargs": {"variable_start_string": "[["}}}, False),
        ({"emails": "another task"}, False),
    ],
    ids=str,
)
def test_wait_begins_in_the_trigger_where_that_can_work(parameters, begins_in_trigger):
    wait = sensor(start_from_trigger=True, **parameters)
    assert bool(wait.start_from_trigger) == begins_in_trigger
    assert type(wait).start_trigger_args is None
    if begins_in_trigger:
        assert wait.start_trigger_args.timeout.total_seconds() == 60 + SAFETY_NET
        assert wait.start_trigger_args.next_method == "execute_complete"


def test_a_template_without_a_known_dag_begins_on_a_worker():
    wait = PixverseCapacitySensor(task_id="wait", start_from_trigger=True, slots="{{ params.slots }}")
    assert not wait.start_from_trigger


def test_wait_that_begins_on_a_worker_says_why(sim, logged):
    with new_dag("reason", user_defined_macros={"mine": lambda: "a-1@example.com"}) as dag:
        PixverseCapacitySensor(task_id="wait", start_from_trigger=True, emails="{{ mine() }}")
    assert run(dag).state("wait") == "success"
    reason = "does not have mine" if RENDERS_IN_TRIGGER else "The wait begins on a worker: Airflow"
    assert reason in logged()


def test_slots_may_be_a_template_with_delimiters_of_the_dag(sim):
    delimiters = {"variable_start_string": "[[", "variable_end_string": "]]"}
    with new_dag("delimiters", params={"slots": 2}, jinja_environment_kwargs=delimiters) as dag:
        PixverseCapacitySensor(task_id="wait", slots="[[ params.slots ]]", start_from_trigger=True)
    assert run(dag).state("wait") == "success"


def trigger_kwargs(**kwargs):
    wait = sensor(**kwargs)
    return wait._parameters(slots=wait.slots, emails=wait.emails).to_kwargs()


def trigger_of(**kwargs):
    from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger

    return PixverseCapacityTrigger(**trigger_kwargs(**kwargs))


@pytest.mark.parametrize("emails", [("a-1@example.com",), {"a-1@example.com"}, ["a-1@example.com"]], ids=str)
def test_the_kwargs_of_the_trigger_are_plain_json(emails):
    kwargs = trigger_kwargs(emails=emails, lease=timedelta(minutes=1), max_wait=timedelta(minutes=2))
    assert json.loads(json.dumps(kwargs)) == kwargs


def test_trigger_ends_the_task_with_the_accounts_as_xcom(sim):
    [event] = events_of(trigger_of(end_from_trigger=True))
    assert isinstance(event, TaskSuccessEvent)
    # Airflow 3 would store what the event carries as a string; there, the trigger pushes it (see tests/e2e).
    carried = event.xcoms["return_value"] if AIRFLOW.release < (3, 0) else event.payload["accounts"]
    assert [account["available"] for account in carried] == [3, 3]


def test_trigger_without_do_xcom_push_pushes_no_xcom(sim):
    [event] = events_of(trigger_of(end_from_trigger=True, do_xcom_push=False))
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms is None


def test_a_task_with_outlets_is_left_to_a_worker_which_sends_their_events(sim):
    [event] = events_of(trigger_of(end_from_trigger=True, outlets=[Asset("s3://bucket/room")]))
    assert not isinstance(event, TaskSuccessEvent)


def test_sensor_says_why_a_worker_ends_it(sim, logged):
    called = []
    with new_dag("heard") as dag:
        PixverseCapacitySensor(
            task_id="wait", end_from_trigger=True, post_execute=lambda *_: called.append("post_execute")
        )
    assert run(dag).state("wait") == "success"
    assert called == ["post_execute"]
    assert "The task ends on a worker: it has post_execute" in logged()


def test_trigger_with_a_custom_xcom_backend_leaves_the_end_to_a_worker(sim):
    """Airflow chooses the backend when it is imported, so in a process of its own."""
    code = """if True:
        import asyncio
        from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger

        async def end():
            return [type(e).__name__ async for e in PixverseCapacityTrigger(end_from_trigger=True).run()]

        print(asyncio.run(end()))
    """
    environment = os.environ | {"AIRFLOW__CORE__XCOM_BACKEND": "tests.helpers.xcom_backend.Uploading"}
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True, cwd=ROOT
    )
    assert printed.stdout.splitlines()[-1] == "['TriggerEvent']"


def test_trigger_leaves_an_end_without_success_to_a_worker(sim):
    sim.token = "user:2-rotated"
    [event] = events_of(trigger_of(end_from_trigger=True))
    assert type(event) is TriggerEvent
    assert event.payload["status"] == "fatal"


ENDS_IN_TRIGGER = {"end_from_trigger": True, "on_clear": "submit", "report_credits": False}


@pytest.mark.parametrize(
    ("kwargs", "reason"),
    [
        (ENDS_IN_TRIGGER, None),
        (ENDS_IN_TRIGGER | {"durable": False, "on_clear": "resume"}, None),
        (ENDS_IN_TRIGGER | {"on_clear": "resume"}, "only a worker drops the journal"),
        (ENDS_IN_TRIGGER | {"report_credits": True}, "only a worker reads the credits"),
        (ENDS_IN_TRIGGER | {"outlets": [Asset("s3://bucket/made")]}, "it has outlets"),
        (ENDS_IN_TRIGGER | {"on_success_callback": print}, "it has callbacks"),
        (ENDS_IN_TRIGGER | {"on_success_callback": [print]}, "it has callbacks"),
        (ENDS_IN_TRIGGER | {"post_execute": print}, "it has post_execute"),
        (ENDS_IN_TRIGGER | {"output_path": "folder"}, "it stores the result"),
        ({"deferrable": True}, None),
    ],
    ids=str,
)
def test_submit_says_why_a_worker_ends_it(sim, logged, tmp_path, kwargs, reason):
    if "output_path" in kwargs:
        kwargs |= {"output_path": f"file://{tmp_path}"}
    dag = submitting(**kwargs)
    if "outlets" in kwargs:
        register(dag)
    with ending_jobs(sim):
        outcome = run(dag)
    assert outcome.state("make") == "success"
    assert outcome.xcom("make")["state"] == "COMPLETED"
    if kwargs.get("end_from_trigger") and AIRFLOW.release < (3, 3):
        reason = "Airflow before 3.3"
    assert (f"The task ends on a worker: {reason}" in logged()) == (reason is not None)


@pytest.fixture
def pushed(monkeypatch):
    """The XComs that a trigger has pushed; tests/e2e has an Airflow that takes them."""
    if not PUSHES_FROM_TRIGGERER:
        pytest.skip("a worker ends submits here")
    xcoms = {}

    async def push(_ti, key, value):
        xcoms[key] = value

    monkeypatch.setattr(task_end, "push_from_triggerer", push)
    return xcoms


def job_trigger(*job_ids, **kwargs):
    one = PixverseJobTrigger(
        job_ids=list(job_ids),
        poke_interval=0.2,
        end_from_trigger=True,
        endpoint="videos/create",
        state={"waiting_since": 1.0, "job_ids": list(job_ids), "cost_credits": 5},
        **kwargs,
    )
    one.task_instance = SimpleNamespace(
        dag_id="dag", run_id="run", task_id="make", map_index=-1, try_number=1
    )
    return one


def ended(sim, *args):
    job_id = sim.start_job()
    sim.end_job(job_id, *args)
    return job_id


def test_trigger_ends_a_submit_whose_job_is_completed_with_the_xcoms_of_a_worker(sim, pushed):
    [event] = events_of(job_trigger(ended(sim)))
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms is None
    assert "http" not in repr(event.payload)
    assert list(pushed) == ["cost", "result", "result_url", "_link_PixverseResultLink", "return_value"]
    assert pushed["cost"] | {"email": None} == {
        "cost_credits": 5,
        "credits_before": None,
        "credits_after": None,
        "email": None,
    }
    assert pushed["return_value"] == pushed["result"]
    assert pushed["result"]["cost_credits"] == 5
    assert pushed["result"]["url"] == pushed["result_url"] == pushed["_link_PixverseResultLink"] != ""


def test_trigger_ends_a_submit_of_two_jobs_with_a_list(sim, pushed):
    [event] = events_of(job_trigger(*(job_ids := [ended(sim), ended(sim)]), do_xcom_push=False))
    assert isinstance(event, TaskSuccessEvent)
    assert [result["id"] for result in pushed["result"]] == job_ids
    assert "return_value" not in pushed


@pytest.mark.parametrize("others", [["failed"], ["completed", "moderated"]], ids=str)
def test_trigger_leaves_a_job_without_a_result_to_a_worker(sim, pushed, others):
    [event] = events_of(job_trigger(*(ended(sim, outcome) for outcome in others)))
    assert type(event) is TriggerEvent
    assert event.payload["status"] == "finished"
    assert pushed == {}


def test_trigger_leaves_the_end_to_a_worker_where_another_version_wrote_the_state(sim, pushed, logged):
    one = job_trigger(ended(sim))
    one._kwargs["state"] = {"job_ids": []}
    [event] = events_of(one)
    assert type(event) is TriggerEvent
    assert event.payload["status"] == "finished"
    assert "so a worker does it" in logged()


def test_trigger_leaves_the_end_to_a_worker_where_xcom_refuses(sim, pushed, monkeypatch):
    async def refuse(*_):
        raise RuntimeError("the API server is down")

    monkeypatch.setattr(task_end, "push_from_triggerer", refuse)
    [event] = events_of(job_trigger(ended(sim)))
    assert type(event) is TriggerEvent
