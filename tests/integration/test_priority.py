"""The priority of a wait at the gate is the weight of its own task."""

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_pixverse.gate.capacity_gate import CapacityGate
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from tests.helpers.dag_runs import AIRFLOW, new_dag, run
from tests.helpers.submits import PROMPT, ending_jobs

PROMPTS = [PROMPT, {"prompt": "a dog"}]
WAIT = {"task_id": "wait", "deferrable": True, "priority_weight": 3}
MAKE = {"task_id": "make", "deferrable": True, "priority_weight": 2, "durable": False}


@pytest.fixture
def priorities(monkeypatch):
    """The priorities of the waits that have come to the gate."""
    seen, queue = [], CapacityGate.queue

    def seeing(gate, request):
        seen.append(request.priority)
        return queue(gate, request)

    monkeypatch.setattr(CapacityGate, "queue", seeing)
    return seen


def before_a_heavy_task(wait, make):
    """Let a task of a high weight be downstream, so that Airflow's own sums of weights are high."""

    @task(priority_weight=1000)
    def heavy():
        """Follow."""

    wait >> make >> heavy()


def test_weights_of_tasks_downstream_do_not_count(sim, priorities):
    with new_dag("heavy") as dag:
        before_a_heavy_task(PixverseCapacitySensor(**WAIT), PixverseSubmitOperator(**MAKE, payload=PROMPT))
    with ending_jobs(sim):
        assert run(dag).state("heavy") == "success"
    assert priorities == [3, 2]


def test_mapped_tasks_have_the_weight_of_their_task(sim, priorities):
    with new_dag("mapped_heavy") as dag:
        wait = PixverseCapacitySensor.partial(**WAIT).expand(slots=[1, 2])
        make = PixverseSubmitOperator.partial(**MAKE).expand(payload=PROMPTS)
        before_a_heavy_task(wait, make)
    with ending_jobs(sim):
        assert run(dag).state("heavy") == "success"
    assert priorities == [3, 3, 2, 2]


@pytest.mark.skipif((3, 0) <= AIRFLOW.release < (3, 3), reason="no wait begins in the trigger")
def test_waits_that_begin_in_the_trigger_have_the_weight_of_their_task():
    begin = {"start_from_trigger": True}
    with new_dag("begun_heavy"):
        wait = PixverseCapacitySensor(**WAIT, **begin)
        make = PixverseSubmitOperator(**MAKE, **begin, payload=PROMPT)
        before_a_heavy_task(wait, make)
    for one, weight in ((wait, 3), (make, 2)):
        assert one.start_trigger_args.trigger_kwargs["priority_weight"] == weight


@pytest.mark.skipif(AIRFLOW.release < (3, 3), reason="no mapped wait begins in the trigger")
def test_mapped_waits_that_begin_in_the_trigger_have_the_weight_of_their_task():
    with new_dag("mapped_begun_heavy"):
        make = PixverseSubmitOperator.partial(**MAKE, start_from_trigger=True).expand(payload=PROMPTS)
        before_a_heavy_task(PixverseCapacitySensor(**WAIT), make)
    assert make.start_trigger_args.trigger_kwargs["priority_weight"] == 2
