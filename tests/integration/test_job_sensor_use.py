"""PixverseJobSensor the ways DAGs use it."""

import pytest

from airflow_pixverse.operators.pixverse import PixverseListExecutingOperator
from airflow_pixverse.sensors.job import PixverseJobSensor
from airflow_pixverse.simulator import Simulator
from tests.integration.dag_runs import ending_jobs_after_two_looks, new_dag, run
from tests.integration.test_sensor_use import MODES

KINDS = ("video", "image", "music", "speech")


@pytest.fixture(params=MODES)
def mode(request):
    return {"poke_interval": 0.2, "timeout": 60, **MODES[request.param]}


@pytest.fixture
def ended_job(sim):
    job = sim.start_job()
    sim.end_job(job)
    return job


def test_it_maps_over_the_xcom_of_the_list_operator(sim, mode):
    jobs = [sim.start_job() for _ in range(3)]
    with new_dag("mapped") as dag:
        executing = PixverseListExecutingOperator(task_id="executing")
        PixverseJobSensor.partial(task_id="wait", **mode).expand(job_id=executing.output)
    with ending_jobs_after_two_looks(sim):
        outcome = run(dag)
    assert outcome.states["wait"] == ["success"] * 3
    assert sorted(result["id"] for result in outcome.xcoms["wait"]) == sorted(jobs)


def test_it_maps_over_ids_of_every_kind(sim, mode):
    jobs = [sim.start_job(type=kind) for kind in KINDS]
    sim.end_all_jobs()
    with new_dag("kinds") as dag:
        PixverseJobSensor.partial(task_id="wait", **mode).expand(job_id=jobs)
    results = run(dag).xcoms["wait"]
    assert [result["id"] for result in results] == jobs
    assert [result["kind"] for result in results] == list(KINDS)
    assert all(result["url"] for result in results)


def test_templates_are_rendered(ended_job, mode):
    with new_dag("templated", params={"job": ended_job}) as dag:
        PixverseJobSensor(
            task_id="wait", pixverse_conn_id="{{ 'pixverse' }}_default", job_id="{{ params.job }}", **mode
        )
    assert run(dag).xcom("wait")["id"] == ended_job


@pytest.mark.parametrize("item", [lambda job: job, lambda job: {"id": job}], ids=["id", "item"])
def test_the_output_of_another_task_may_name_the_job(ended_job, mode, item):
    from airflow.providers.common.compat.sdk import task

    with new_dag("chosen") as dag:

        @task
        def submit():
            return item(ended_job)

        PixverseJobSensor(task_id="wait", job_id=submit(), **mode)
    assert run(dag).xcom("wait")["id"] == ended_job


@pytest.mark.parametrize("schema", ["2024-12-06", "2026-03-09", "2026-06-24"])
def test_it_works_on_every_revision_of_the_api(schema, mode, monkeypatch):
    with Simulator(schema=schema) as sim:
        monkeypatch.setenv(
            "AIRFLOW_CONN_PX", f"pixverse://:{sim.token.replace(':', '%3A')}@127.0.0.1:{sim.port}/http"
        )
        job = sim.start_job(seconds=1)
        with new_dag("revision") as dag:
            PixverseJobSensor(task_id="wait", pixverse_conn_id="px", job_id=job, **mode)
        assert run(dag).state("wait") == "success"


@pytest.mark.parametrize("job_id", ["", " ", 7, None, {"type": "video"}, ["a", "b"]], ids=repr)
def test_what_is_no_job_is_refused_when_the_dag_is_parsed(job_id):
    with new_dag("refused"), pytest.raises(ValueError, match=r"^job_id must be the id of a job"):
        PixverseJobSensor(task_id="wait", job_id=job_id)
