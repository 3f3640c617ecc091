"""PixverseJobSensor the ways DAGs use it."""

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_pixverse.operators.pixverse import PixverseListExecutingOperator
from airflow_pixverse.sensors.job import PixverseJobSensor
from airflow_pixverse.simulator import Simulator
from tests.helpers.dag_runs import ending_jobs_after_two_looks, new_dag, run
from tests.helpers.sensors import MODES

KINDS = ("video", "image", "music", "speech")


QUICK = {"poke_interval": 0.2, "timeout": 60}


def in_each_mode(dag, **kwargs):
    """Run a DAG with a sensor in each mode, and return the ids in their XComs by mode."""
    with dag:
        for name, mode in MODES.items():
            PixverseJobSensor(task_id=name, **QUICK, **mode, **kwargs)
    outcome = run(dag)
    return {name: outcome.xcom(name)["id"] for name in MODES}


@pytest.fixture
def ended_job(sim):
    job = sim.start_job()
    sim.end_job(job)
    return job


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_sensor_maps_over_the_xcom_of_the_list_operator(sim, mode):
    jobs = [sim.start_job() for _ in range(3)]
    with new_dag("mapped") as dag:
        executing = PixverseListExecutingOperator(task_id="executing")
        PixverseJobSensor.partial(task_id="wait", **QUICK, **mode).expand(job_id=executing.output)
    with ending_jobs_after_two_looks(sim):
        outcome = run(dag)
    assert outcome.states["wait"] == ["success"] * 3
    assert sorted(result["id"] for result in outcome.xcoms["wait"]) == sorted(jobs)


def test_sensor_maps_over_ids_of_every_kind(sim):
    jobs = [sim.start_job(type=kind) for kind in KINDS]
    sim.end_all_jobs()
    with new_dag("kinds") as dag:
        for name, mode in MODES.items():
            PixverseJobSensor.partial(task_id=name, **QUICK, **mode).expand(job_id=jobs)
    outcome = run(dag)
    for name in MODES:
        results = outcome.xcoms[name]
        assert [(result["id"], result["kind"]) for result in results] == list(zip(jobs, KINDS, strict=True))
        assert all(result["url"] for result in results)


def test_sensor_renders_its_templates(ended_job):
    templates = {"pixverse_conn_id": "{{ 'pixverse' }}_default", "job_id": "{{ params.job }}"}
    found = in_each_mode(new_dag("templated", params={"job": ended_job}), **templates)
    assert found == dict.fromkeys(MODES, ended_job)


@pytest.mark.parametrize("item", [lambda job: job, lambda job: {"id": job}], ids=["id", "item"])
def test_sensor_waits_for_the_job_that_another_task_names(ended_job, item):
    with new_dag("chosen") as dag:

        @task
        def submit():
            return item(ended_job)

        job = submit()
    assert in_each_mode(dag, job_id=job) == dict.fromkeys(MODES, ended_job)


@pytest.mark.parametrize("schema", ["2024-12-06", "2026-03-09", "2026-06-24"])
def test_sensor_works_on_every_revision_of_the_api(schema, monkeypatch):
    with Simulator(schema=schema) as sim:
        token = sim.token.replace(":", "%3A")
        monkeypatch.setenv("AIRFLOW_CONN_PX", f"pixverse://:{token}@127.0.0.1:{sim.port}/http")
        job = sim.start_job(seconds=0.5)
        assert in_each_mode(new_dag("revision"), pixverse_conn_id="px", job_id=job) == dict.fromkeys(
            MODES, job
        )


@pytest.mark.parametrize("job_id", ["", " ", 7, None, {"type": "video"}, ["a", "b"]], ids=repr)
def test_sensor_refuses_what_is_no_job_when_the_dag_is_parsed(job_id):
    with new_dag("refused"), pytest.raises(ValueError, match=r"^job_id must be the id of a job"):
        PixverseJobSensor(task_id="wait", job_id=job_id)


def test_polls_are_five_seconds_apart_unless_each_starts_a_worker():
    given = {"poke": {}, "deferred": {"deferrable": True}, "reschedule": {"mode": "reschedule"}}
    usual = {name: PixverseJobSensor(task_id="wait", job_id="1", **how) for name, how in given.items()}
    intervals = {name: sensor.poke_interval for name, sensor in usual.items()}
    assert intervals == {"poke": 5, "deferred": 5, "reschedule": 60}
    with new_dag("defaults", default_args={"poke_interval": 7}):
        assert PixverseJobSensor(task_id="wait", job_id="1").poke_interval == 7
