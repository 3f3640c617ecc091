"""PixverseCapacitySensor the ways DAGs use it; each DAG has a task for each mode, named by it."""

import pytest
from airflow.providers.common.compat.sdk import TaskGroup, task

from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor
from airflow_pixverse.simulator import Simulator
from tests.helpers.dag_runs import new_dag, run
from tests.helpers.sensors import MODES

QUICK = {"poke_interval": 0.2, "timeout": 60}


def in_each_mode(dag, **kwargs):
    """Run a DAG with a sensor in each mode, and return the emails in their XComs by mode."""
    with dag:
        for name, mode in MODES.items():
            PixverseCapacitySensor(task_id=name, **QUICK, **mode, **kwargs)
    outcome = run(dag)
    return {name: emails(outcome.xcom(name)) for name in MODES}


def emails(accounts):
    return accounts and tuple(account["email"] for account in accounts)


def test_mapped_sensor_waits_for_its_own_accounts(sim):
    chosen = ["a-1@example.com", ["a-2@example.com"]]
    with new_dag("mapped") as dag:
        for name, mode in MODES.items():
            PixverseCapacitySensor.partial(task_id=name, lease=0, **QUICK, **mode).expand(emails=chosen)
    outcome = run(dag)
    for name in MODES:
        found = [emails(accounts) for accounts in outcome.xcoms[name]]
        assert found == [("a-1@example.com",), ("a-2@example.com",)], name


@pytest.mark.parametrize("bad", [{"emails": [""]}, {"slots": [0]}], ids=str)
def test_mapped_sensor_with_a_bad_value_fails_without_retry(sim, bad):
    with new_dag("mapped_badly") as dag:
        for name, mode in MODES.items():
            retries = {"retries": 2, "retry_delay": 0}
            PixverseCapacitySensor.partial(task_id=name, **QUICK, **mode, **retries).expand(**bad)
    outcome = run(dag)
    assert {name: outcome.end(name) for name in MODES} == dict.fromkeys(MODES, ("failed", 1))
    assert sim.request_count == 0


def test_sensor_in_a_task_group_succeeds(sim):
    with new_dag("grouped") as dag, TaskGroup("pixverse"):
        for name, mode in MODES.items():
            PixverseCapacitySensor(task_id=name, **QUICK, **mode)
    assert run(dag).states == {f"pixverse.{name}": ["success"] for name in MODES}


def test_sensor_renders_its_templates(sim):
    params = {"slots": 3, "emails": ["A-1@example.com", "nobody@example.com"]}
    templates = {
        "pixverse_conn_id": "{{ 'pixverse' }}_default",
        "slots": "{{ params.slots }}",
        "emails": "{{ params.emails }}",
    }
    found = in_each_mode(new_dag("templated", params=params), **templates)
    assert found == dict.fromkeys(MODES, ("a-1@example.com",))


def test_sensor_renders_native_templates(sim):
    params = {"emails": ["a-2@example.com"]}
    dag = new_dag("native", params=params, render_template_as_native_obj=True)
    found = in_each_mode(dag, emails="{{ params.emails }}", slots="{{ 1 + 1 }}")
    assert found == dict.fromkeys(MODES, ("a-2@example.com",))


def test_sensor_waits_for_the_accounts_that_another_task_chooses(sim):
    with new_dag("chosen") as dag:

        @task
        def choose():
            return ["a-2@example.com"]

        chosen = choose()
    assert in_each_mode(dag, emails=chosen) == dict.fromkeys(MODES, ("a-2@example.com",))


def test_xcom_of_the_sensor_feeds_mapped_tasks_downstream(sim):
    with new_dag("downstream") as dag:

        @task
        def submit(account):
            return account["email"]

        for name, mode in MODES.items():
            wait = PixverseCapacitySensor(task_id=name, **QUICK, **mode)
            submit.override(task_id=f"after_{name}").expand(account=wait.output)
    outcome = run(dag)
    for name in MODES:
        assert outcome.xcoms[f"after_{name}"] == ["a-1@example.com", "a-2@example.com"]


@pytest.mark.parametrize("schema", ["2024-12-06", "2026-03-09", "2026-06-24"])
def test_sensor_works_on_every_revision_of_the_api(schema, monkeypatch):
    with Simulator(schema=schema) as sim:
        token = sim.token.replace(":", "%3A")
        monkeypatch.setenv("AIRFLOW_CONN_PX", f"pixverse://:{token}@127.0.0.1:{sim.port}/http")
        found = in_each_mode(new_dag("revision"), pixverse_conn_id="px", slots=6)
    assert found == dict.fromkeys(MODES, ("a-1@example.com", "a-2@example.com"))


def test_sensor_without_do_xcom_push_pushes_no_xcom(sim):
    assert in_each_mode(new_dag("silent"), do_xcom_push=False) == dict.fromkeys(MODES)
