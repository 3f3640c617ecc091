"""The DAGs of the documentation that do more than wait are run as they are."""

import hashlib
import json
import re
import runpy
from datetime import UTC, datetime, timedelta

import pytest

from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.simulator import faults
from tests.documents import DOCS, dag_snippet
from tests.helpers.dag_runs import AIRFLOW, new_dag, run
from tests.helpers.submits import ended_by_hand

pytestmark = pytest.mark.usefixtures("without_a_logical_date")


@pytest.fixture
def documented(tmp_path):
    """A function that makes a DAG of the documentation by its id."""

    def make(dag_id):
        path = tmp_path / f"{dag_id}.py"
        path.write_text(dag_snippet(dag_id).text)
        return runpy.run_path(str(path))["dag"]

    return make


@pytest.fixture
def backlog(airflow_db):
    """A function that sets and returns the backlog, which is an Airflow variable."""
    from airflow.models.variable import Variable

    def access(prompts=None):
        if prompts is not None:
            Variable.set("pixverse_backlog", prompts, serialize_json=True)
        return Variable.get("pixverse_backlog", deserialize_json=True)

    yield access
    Variable.delete("pixverse_backlog")


def test_the_documentation_makes_a_video(sim, documented):
    outcome = run(documented("pixverse_fox"))
    [job] = sim.submitted()
    assert (outcome.xcom("make_video")["id"], job.payload["model"]) == (job.id, "v5")
    assert job.payload["prompt"] == "a fox in the snow"


def test_the_documentation_makes_a_table_of_videos(sim, documented):
    outcome = run(documented("pixverse_animals"))
    assert outcome.states["make"] == ["success"] * 3
    prompts = {job.payload["prompt"] for job in sim.submitted()}
    assert prompts == {f"{animal} in the snow" for animal in ("a fox", "an owl", "a hare")}


@pytest.fixture(scope="module")
def my_bucket(object_store):
    """The bucket that the DAGs of the documentation name."""
    bucket = object_store.new_bucket("my-bucket")
    bucket.put("frames/fox.png", b"a fox")
    # As spreadsheets write it.
    bucket.put("campaign/prompts.csv", b"\xef\xbb\xbfname,prompt\r\nfox,a fox\r\nowl,an owl\r\nfox,a hen\r\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_MY_AWS", json.dumps(object_store.connection))
        yield bucket


def test_the_documentation_keeps_a_video_that_begins_with_a_picture(sim, documented, my_bucket):
    result = run(documented("pixverse_kept")).xcom("make_video")
    [job], [upload] = sim.submitted(), sim.uploads
    assert job.payload["first_frame_path"] == upload.path
    assert upload.sha256 == hashlib.sha256(b"a fox").hexdigest()
    key = result["path"].removeprefix("s3://my_aws@my-bucket/")
    assert re.fullmatch(r"videos/video-\d+\.mp4", key)
    assert hashlib.sha256(my_bucket.get(key)).hexdigest() == sim.media_sha256(job.id)


def test_the_documentation_makes_the_rows_of_a_table_in_a_bucket(sim, documented, my_bucket):
    assert run(documented("pixverse_csv")).states["make"] == ["success"] * 3
    videos = [key for key in my_bucket.keys if key.startswith("campaign/videos/")]
    names = [re.fullmatch(r"campaign/videos/(\w+)-\d+\.mp4", video)[1] for video in videos]
    assert names == ["fox", "fox", "owl"], "none replaces another"
    assert {job.payload["prompt"] for job in sim.submitted()} == {"a fox", "an owl", "a hen"}


def test_the_documentation_cancels_old_jobs(sim, documented):
    sim.start_job(started=datetime.now(UTC) - timedelta(hours=2))
    sim.start_job()
    assert run(documented("pixverse_cancel_old_jobs")).xcoms["cancel"] == [True]
    assert sim.free() == 5


@ended_by_hand
@pytest.mark.skipif(AIRFLOW.major < 3, reason="Airflow 2 has no asset watchers")
def test_the_documentation_drains_a_backlog_into_the_slots_that_are_free(sim, documented, backlog):
    [first, second, *_] = sim.fill()
    sim.end_job(first)
    sim.end_job(second)
    backlog(["a fox", "an owl", "a hare"])
    outcome = run(documented("pixverse_drain_backlog"))
    assert len(outcome.xcom("drain")) == 2
    assert sim.free() == 0
    assert backlog() == ["a hare"]


@pytest.mark.skipif(AIRFLOW.major < 3, reason="Airflow 2 has no asset watchers")
def test_the_documentation_keeps_a_prompt_that_is_refused(sim, documented, backlog):
    sim.inject(faults.rate_limit(), path="videos/create")
    backlog(["a fox", "an owl"])
    outcome = run(documented("pixverse_drain_backlog"))
    assert outcome.xcom("drain") == []
    assert backlog() == ["a fox", "an owl"]


@pytest.mark.skipif(AIRFLOW.major < 3, reason="Airflow 2 has no asset watchers")
@pytest.mark.parametrize("fault", [faults.lost_answer(), faults.status(422)], ids=["lost", "moderated"])
def test_the_documentation_does_not_submit_again_what_is_refused_or_perhaps_accepted(
    sim, documented, backlog, logged, fault
):
    sim.inject(fault, path="videos/create")
    backlog(["a fox", "an owl"])
    assert run(documented("pixverse_drain_backlog")).state("drain") == "failed"
    assert backlog() == ["an owl"]
    assert "Given up: a fox" in logged()


@pytest.mark.skipif(AIRFLOW.major < 3, reason="on Airflow 2, every run has a logical date")
def test_the_day_of_a_run_without_a_logical_date_is_what_the_documentation_says(sim):
    page = (DOCS / "how-to/store-results.md").read_text()
    day = re.search(r"undefined in a run [^`]*`(\{\{ .*? \}\})` is the day", page)[1]
    with new_dag("pixverse_today") as dag:
        PixverseSubmitOperator(task_id="make", payload={"prompt": f"a fox on {day}"})
    assert run(dag).states == {"make": ["success"]}
    [job] = sim.submitted()
    assert re.fullmatch(r"a fox on 20\d\d-\d\d-\d\d", job.payload["prompt"])
