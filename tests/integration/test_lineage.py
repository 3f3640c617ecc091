"""Lineage: Airflow and OpenLineage are told of the files that a task has read and stored."""

import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias
from airflow.providers.openlineage.extractors import ExtractorManager

from airflow_pixverse.capabilities import WORKERS_HAVE_DATABASE
from airflow_pixverse.operators.pixverse import PixverseDownloadOperator
from airflow_pixverse.sensors.job import PixverseJobSensor
from tests.helpers.asset_events import asset_events, register
from tests.helpers.dag_runs import new_dag, run
from tests.helpers.submits import PROMPT, ending_jobs, submit_and_end, submitting

FACTS = {"path", "bytes", "content_type", "sha256", "id"}


@pytest.fixture
def job_id(sim):
    """A video that is finished."""
    job_id = sim.start_job()
    sim.end_job(job_id)
    return job_id


def facts(result):
    return {name: result[name] for name in FACTS}


# Assets


def test_event_of_an_asset_holds_the_path_of_what_was_stored(sim, mode, bucket):
    uri = f"s3://{bucket.name}/videos"
    dag = submitting(output_path=f"{bucket.url}/videos", outlets=[Asset(uri)], **mode)
    register(dag)
    with ending_jobs(sim):
        outcome = run(dag)
    assert asset_events(uri) == [facts(outcome.xcom("make"))]


def test_event_of_a_sensor_holds_the_path_too(sim, tmp_path, job_id):
    uri = f"s3://sensor/{tmp_path.name}"
    with new_dag("outlet_of_sensor") as dag:
        PixverseJobSensor(
            task_id="wait", job_id=job_id, output_path=f"file://{tmp_path}", outlets=[Asset(uri)]
        )
    register(dag)
    outcome = run(dag)
    assert asset_events(uri) == [facts(outcome.xcom("wait"))]


def test_the_event_of_several_files_lists_them(sim, tmp_path, job_id):
    other = sim.start_job(type="image")
    sim.end_job(other)
    uri = f"s3://several/{tmp_path.name}"
    with new_dag("several") as dag:
        PixverseDownloadOperator(
            task_id="store", result=[job_id, other], output_path=f"file://{tmp_path}", outlets=[Asset(uri)]
        )
    register(dag)
    outcome = run(dag)
    assert asset_events(uri) == [{"files": [facts(result) for result in outcome.xcom("store")]}]


@pytest.mark.skipif(
    WORKERS_HAVE_DATABASE, reason="dag.test() of Airflow 2 cannot store the events of an alias"
)
def test_an_alias_gets_an_event_for_each_file(sim, bucket, job_id):
    other = sim.start_job()
    sim.end_job(other)
    with new_dag("alias") as dag:
        PixverseDownloadOperator(
            task_id="store",
            result=[job_id, other],
            output_path=bucket.url,
            file_name="f\u00fc {number}.{ext}",
            outlets=[AssetAlias("results")],
        )
    register(dag)
    outcome = run(dag)
    for result in outcome.xcom("store"):
        number = result["id"].rpartition(":")[2]
        assert asset_events(f"s3://{bucket.name}/f%C3%BC%20{number}.mp4") == [facts(result)]


def test_a_task_that_stores_nothing_adds_nothing_to_its_event(sim, tmp_path, job_id):
    uri = f"s3://nothing/{tmp_path.name}"
    with new_dag("nothing") as dag:
        PixverseJobSensor(task_id="wait", job_id=job_id, poke_interval=0.2, outlets=[Asset(uri)])
    register(dag)
    assert run(dag).state("wait") == "success"
    assert asset_events(uri) == [{}]


# OpenLineage


@pytest.fixture
def told():
    """Collect what tasks tell OpenLineage; ``told.watch`` is a callback of a task that asks it."""

    class Told(dict):
        def watch(self, context):
            ti = context["ti"]
            # As the listener of the provider does it.
            operator = getattr(ti, "task", None) or context["task"]
            extractor = ExtractorManager().get_extractor_class(operator)
            lineage = extractor(operator).extract_on_complete(ti)
            names = (
                [(one.namespace, one.name) for one in them] for them in (lineage.inputs, lineage.outputs)
            )
            self[operator.task_id] = tuple(names)

    return Told()


def test_openlineage_is_told_what_was_uploaded_and_what_was_stored(sim, mode, bucket, tmp_path, told):
    first, last = bucket.put("in/a.png", b"a"), bucket.put("in/b.png", b"b")
    frames = {"first_frame_path": first, "last_frame_path": last, "image_path": first}
    outcome = submit_and_end(
        sim,
        payload=PROMPT | frames,
        output_path=f"file://{tmp_path}",
        on_success_callback=told.watch,
        **mode,
    )
    assert outcome.state("make") == "success"
    [job] = sim.submitted()
    store = f"s3://{bucket.name}"
    assert told["make"] == (
        [(store, "in/a.png"), (store, "in/b.png")],
        [("file", f"{tmp_path}/video-{job.number}.mp4")],
    )


def test_openlineage_is_told_of_downloads(sim, bucket, job_id, told):
    with new_dag("lineage") as dag:
        common = {"output_path": f"{bucket.url}/out", "file_name": "a.mp4", "on_success_callback": told.watch}
        PixverseDownloadOperator(task_id="store", result=job_id, **common)
        for name, how in {"poke": {}, "deferred": {"deferrable": True}}.items():
            PixverseJobSensor(task_id=name, job_id=job_id, poke_interval=0.2, **how, **common)
    outcome = run(dag)
    assert set(outcome.states) == {"store", "poke", "deferred"}
    stored = ([], [(f"s3://{bucket.name}", "out/a.mp4")])
    assert told == {"store": stored, "poke": stored, "deferred": stored}


def test_openlineage_is_told_of_nothing_where_nothing_is_kept(sim, job_id, told):
    with new_dag("lineage") as dag:
        PixverseJobSensor(task_id="wait", job_id=job_id, poke_interval=0.2, on_success_callback=told.watch)
    run(dag)
    assert told == {"wait": ([], [])}
