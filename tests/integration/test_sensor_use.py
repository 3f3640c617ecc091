"""PixverseCapacitySensor the ways DAGs use it."""

import pytest
from airflow.providers.common.compat.sdk import TaskGroup, task

from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.simulator import Simulator
from tests.integration.dag_runs import new_dag, run

MODES = {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}


@pytest.fixture(params=MODES)
def mode(request):
    return {"poke_interval": 0.2, "timeout": 60, **MODES[request.param]}


def test_it_works_mapped(sim, mode):
    with new_dag("mapped") as dag:
        PixverseCapacitySensor.partial(task_id="wait", **mode, lease=0).expand(
            emails=["a-1@example.com", ["a-2@example.com"]]
        )
    outcome = run(dag)
    assert outcome.states["wait"] == ["success", "success"]
    assert [[account["email"] for account in accounts] for accounts in outcome.xcoms["wait"]] == [
        ["a-1@example.com"],
        ["a-2@example.com"],
    ]


@pytest.mark.parametrize("bad", [{"emails": [""]}, {"slots": [0]}], ids=str)
def test_a_bad_mapped_value_fails_it_without_retry(sim, mode, bad):
    with new_dag("mapped_badly") as dag:
        PixverseCapacitySensor.partial(task_id="wait", **mode, retries=2, retry_delay=0).expand(**bad)
    outcome = run(dag)
    assert (outcome.states["wait"], outcome.tries["wait"]) == (["failed"], [1])
    assert sim.request_count == 0


def test_it_works_in_a_task_group(sim, mode):
    with new_dag("grouped") as dag, TaskGroup("pixverse"):
        PixverseCapacitySensor(task_id="wait", **mode)
    assert run(dag).state("pixverse.wait") == "success"


def test_templates_are_rendered(sim, mode):
    sim.start_job("a-1@example.com")
    with new_dag(
        "templated", params={"slots": 2, "emails": ["A-1@example.com", "nobody@example.com"]}
    ) as dag:
        PixverseCapacitySensor(
            task_id="wait",
            pixverse_conn_id="{{ 'pixverse' }}_default",
            slots="{{ params.slots }}",
            emails="{{ params.emails }}",
            **mode,
        )
    [account] = run(dag).xcom("wait")
    assert (account["email"], account["available"]) == ("a-1@example.com", 2)


def test_native_templates_are_rendered(sim, mode):
    with new_dag("native", params={"emails": ["a-2@example.com"]}, render_template_as_native_obj=True) as dag:
        PixverseCapacitySensor(task_id="wait", emails="{{ params.emails }}", slots="{{ 1 + 1 }}", **mode)
    [account] = run(dag).xcom("wait")
    assert account["email"] == "a-2@example.com"


def test_the_output_of_another_task_may_choose_the_accounts(sim, mode):
    with new_dag("chosen") as dag:

        @task
        def choose():
            return ["a-2@example.com"]

        PixverseCapacitySensor(task_id="wait", emails=choose(), **mode)
    [account] = run(dag).xcom("wait")
    assert account["email"] == "a-2@example.com"


def test_its_xcom_feeds_mapped_tasks_downstream(sim, mode):
    with new_dag("downstream") as dag:

        @task
        def submit(account):
            return account["email"]

        submit.expand(account=PixverseCapacitySensor(task_id="wait", **mode).output)
    assert run(dag).xcoms["submit"] == ["a-1@example.com", "a-2@example.com"]


@pytest.mark.parametrize("schema", ["2024-12-06", "2026-03-09", "2026-06-24"])
def test_it_works_on_every_revision_of_the_api(schema, mode, monkeypatch):
    with Simulator(schema=schema) as sim:
        monkeypatch.setenv(
            "AIRFLOW_CONN_PX", f"pixverse://:{sim.token.replace(':', '%3A')}@127.0.0.1:{sim.port}/http"
        )
        with new_dag("revision") as dag:
            PixverseCapacitySensor(task_id="wait", pixverse_conn_id="px", slots=6, **mode)
        assert run(dag).state("wait") == "success"


def test_without_do_xcom_push_there_is_no_xcom(sim, mode):
    with new_dag("silent") as dag:
        PixverseCapacitySensor(task_id="wait", do_xcom_push=False, **mode)
    outcome = run(dag)
    assert outcome.state("wait") == "success"
    assert outcome.xcom("wait") is None
