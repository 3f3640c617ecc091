"""The waits of mapped tasks begin in the triggerer or on a worker; tests/e2e has a triggerer."""

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_pixverse.decorators.pixverse import pixverse_task
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from tests.helpers.dag_runs import AIRFLOW, new_dag, run
from tests.helpers.submits import submit_mapped

BEGINS_IN_TRIGGER = AIRFLOW.release >= (3, 3)
NEVER_BEGINS = "3.0 to 3.2 cannot" if AIRFLOW.release >= (3, 0) else "before 3.3 begins mapped tasks there"
PROMPTS = [{"prompt": "a cat"}, {"prompt": "a dog"}]
NAMED = [{"prompt": "a cat", "email": "a-1@example.com"}, {"prompt": "a dog"}]
OF_ANOTHER_TASK = "of another task"


def expanded(partial, over):
    """A mapped task over values, of which some come from another task."""

    @task
    def values():
        return []

    if over == OF_ANOTHER_TASK:
        return partial.expand_kwargs(values())
    if isinstance(over, list):
        return partial.expand_kwargs(over)
    return partial.expand(
        **{name: values() if value == OF_ANOTHER_TASK else value for name, value in over.items()}
    )


@pytest.mark.parametrize(
    ("common", "over", "begins_in_trigger"),
    [
        ({}, {"payload": PROMPTS}, BEGINS_IN_TRIGGER),
        ({}, {"payload": NAMED}, False),
        ({"emails": "a-1@example.com"}, {"payload": NAMED}, BEGINS_IN_TRIGGER),
        ({}, {"payload": OF_ANOTHER_TASK}, False),
        ({"emails": "a-1@example.com"}, {"payload": OF_ANOTHER_TASK}, BEGINS_IN_TRIGGER),
        ({"emails": "{{ params.email }}"}, {"payload": OF_ANOTHER_TASK}, BEGINS_IN_TRIGGER),
        ({"emails": "{{ var.value.email }}"}, {"payload": PROMPTS}, False),
        ({"payload": PROMPTS[0]}, {"emails": ["a-1@example.com"]}, False),
        ({"payload": PROMPTS[0]}, {"pixverse_conn_id": ["pixverse_default"]}, False),
        ({"payload": PROMPTS[0]}, {"capacity_timeout": [1, 2]}, False),
        ({"payload": PROMPTS[0]}, {"output_path": OF_ANOTHER_TASK}, BEGINS_IN_TRIGGER),
        ({"payload": NAMED[0]}, {"endpoint": ["videos/create"]}, BEGINS_IN_TRIGGER),
        ({}, [{"payload": PROMPTS[0]}, {"payload": PROMPTS[1], "reply_ref": "x"}], BEGINS_IN_TRIGGER),
        ({}, [{"payload": PROMPTS[0]}, {"payload": PROMPTS[1], "emails": "a-1@example.com"}], False),
        ({"emails": "a-1@example.com"}, OF_ANOTHER_TASK, False),
        ({"wait_for_capacity": False}, {"payload": PROMPTS}, False),
    ],
    ids=str,
)
def test_mapped_submit_begins_in_the_trigger_where_the_wait_uses_nothing_mapped(
    common, over, begins_in_trigger
):
    with DAG("mapped_begin", schedule=None):
        partial = PixverseSubmitOperator.partial(task_id="make", start_from_trigger=True, **common)
        make = expanded(partial, over)
    assert bool(make.start_trigger_args) == begins_in_trigger
    if begins_in_trigger:
        assert make.start_from_trigger
        assert make.start_trigger_args.trigger_kwargs["emails"] == common.get(
            "emails", common.get("payload", {}).get("email")
        )


@pytest.mark.parametrize(
    ("common", "over", "begins_in_trigger"),
    [
        ({"slots": 2}, {"soft_fail": [True, False]}, BEGINS_IN_TRIGGER),
        ({}, {"slots": [1, 2]}, False),
        ({}, {"emails": OF_ANOTHER_TASK}, False),
    ],
    ids=str,
)
def test_mapped_sensor_begins_in_the_trigger_where_the_wait_uses_nothing_mapped(
    common, over, begins_in_trigger
):
    with DAG("mapped_begin", schedule=None):
        partial = PixverseCapacitySensor.partial(task_id="wait", start_from_trigger=True, **common)
        wait = expanded(partial, over)
    assert bool(wait.start_trigger_args) == begins_in_trigger
    if begins_in_trigger:
        assert wait.start_trigger_args.trigger_kwargs["slots"] == 2


def test_mapped_task_that_does_not_ask_for_it_begins_on_a_worker():
    with DAG("mapped_begin", schedule=None):
        make = PixverseSubmitOperator.partial(task_id="make", deferrable=True).expand(payload=PROMPTS)
    assert make.start_trigger_args is None
    assert not make.start_from_trigger


def test_mapped_function_begins_on_a_worker():
    with DAG("mapped_begin", schedule=None) as dag:

        @pixverse_task(start_from_trigger=True, emails="a-1@example.com")
        def make(prompt):
            return {"prompt": prompt}

        make.expand(prompt=["a cat", "a dog"])
    assert dag.get_task("make").start_trigger_args is None


@pytest.mark.skipif(not BEGINS_IN_TRIGGER, reason="mapped tasks begin on a worker here")
def test_the_arguments_survive_the_way_through_airflows_database():
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("mapped_begin", schedule=None) as dag:
        PixverseSubmitOperator.partial(task_id="make", start_from_trigger=True).expand(payload=PROMPTS)
    [make] = DagSerialization.from_dict(DagSerialization.to_dict(dag)).tasks
    assert make.start_from_trigger is True
    assert make.start_trigger_args.next_method == "execute_complete"


def test_mapped_submit_says_why_it_begins_on_a_worker(sim, logged):
    assert submit_mapped({"payload": NAMED}, start_from_trigger=True).states["make"] == ["success"] * 2
    reason = "mapped payloads name accounts" if BEGINS_IN_TRIGGER else NEVER_BEGINS
    assert reason in logged()


def test_mapped_sensor_says_why_it_begins_on_a_worker(sim, logged):
    with new_dag("mapped_reason") as dag:
        PixverseCapacitySensor.partial(task_id="wait", start_from_trigger=True, poke_interval=1).expand(
            emails=["a-1@example.com", "a-2@example.com"]
        )
    assert run(dag).states["wait"] == ["success"] * 2
    reason = "the wait may use emails, which mapping gives" if BEGINS_IN_TRIGGER else NEVER_BEGINS
    assert reason in logged()
