"""Every example DAG is run as it is, and so are the DAGs of the README that do more than wait."""

import csv
import hashlib
import importlib
import io
import json
import re
import runpy
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_pixverse.simulator import faults
from tests.documents import dag_snippet
from tests.integration.dag_runs import AIRFLOW, ending_jobs_after_two_looks, run
from tests.integration.submits import ended_by_hand

FOLDER = Path(__file__).parents[2] / "example_dags"


@pytest.fixture
def example(monkeypatch):
    """A function that loads an example DAG by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name):
        module = importlib.reload(sys.modules[name]) if name in sys.modules else importlib.import_module(name)
        return module.dag

    return load


@pytest.fixture
def readme(tmp_path):
    """A function that makes a DAG of the README by its id."""

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


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_every_example_says_in_the_ui_what_it_is_for(example, name):
    if name == "pixverse_on_capacity" and AIRFLOW.major < 3:
        pytest.skip("it has no DAG on Airflow 2")
    dag = example(name)
    assert dag.dag_id == name
    assert dag.doc_md == sys.modules[name].__doc__
    assert "``" not in dag.doc_md  # which is not how Markdown writes code


def test_every_example_has_a_test():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_pixverse_")}
    assert {path.stem for path in FOLDER.glob("*.py")} == tested


@pytest.mark.skipif(AIRFLOW.major >= 3, reason="tests/e2e runs it, with a triggerer that watches")
def test_pixverse_on_capacity(example):
    with pytest.raises(AttributeError, match="dag"):
        example("pixverse_on_capacity")  # imports, and has no DAG: Airflow 2 has no asset watchers


def test_pixverse_wait_then_list(sim, example):
    *_, job = sim.fill()
    sim.end_job(job)
    outcome = run(example("pixverse_wait_then_list"))
    assert [account["available"] for account in outcome.xcom("wait_for_slot")] == [1]
    assert len(outcome.xcom("list_executing")) == 5


def test_pixverse_skip_when_busy(sim, example):
    sim.fill()
    outcome = run(example("pixverse_skip_when_busy"))
    assert (outcome.state("wait_for_two_slots"), outcome.state("list_executing")) == ("skipped", "skipped")
    sim.end_all_jobs()
    outcome = run(example("pixverse_skip_when_busy"))
    assert (outcome.state("wait_for_two_slots"), outcome.state("list_executing")) == ("success", "success")


def test_pixverse_map_over_executing(sim, example):
    stuck = sim.start_job("a-1@example.com", started=datetime.now(UTC) - timedelta(hours=1))
    sim.start_job("a-1@example.com")
    outcome = run(example("pixverse_map_over_executing"))
    [report] = outcome.xcoms["report"]
    assert report.startswith(f"{stuck} of a-1@example.com has been executing since")


def test_pixverse_cancel_stuck(sim, example):
    stuck = [sim.start_job(started=datetime.now(UTC) - timedelta(hours=hours)) for hours in (3, 2)]
    busy = sim.start_job()
    outcome = run(example("pixverse_cancel_stuck"))
    assert [job["id"] for job in outcome.xcom("list_stuck")] == stuck
    assert outcome.xcoms["cancel"] == [True, True]
    assert sim.free() == 5
    sim.end_job(busy)
    outcome = run(example("pixverse_cancel_stuck"))  # nothing is left to cancel
    assert (outcome.xcom("list_stuck"), outcome.states["cancel"]) == ([], ["skipped"])
    sim.start_job(started=datetime.now(UTC) - timedelta(minutes=10))
    outcome = run(example("pixverse_cancel_stuck"), conf={"older_than": 300})
    assert outcome.xcoms["cancel"] == [True]


def test_pixverse_prompt_to_url(sim, example):
    outcome = run(example("pixverse_prompt_to_url"))
    [job] = sim.submitted()
    assert job.payload["prompt"] == "a fox in the snow"
    assert outcome.xcom("url") == outcome.xcom("make_video")["url"]


def test_pixverse_prompts(sim, example):
    sim.set_fate("an owl", "moderated")
    sim.set_fate("a cat", "refused")
    outcome = run(example("pixverse_prompts"))
    assert outcome.states["make"] == ["success", "failed", "failed"]
    fox, owl, cat = outcome.xcom("report")
    assert fox.startswith("fox: http")
    assert (owl, cat) == ("owl: MODERATED", "cat: not submitted")


@pytest.fixture(params=["folder", "bucket"])
def table(request, tmp_path, monkeypatch):
    """A table of prompts in a folder of this machine, or in a bucket."""
    place = request.getfixturevalue("bucket").url if request.param == "bucket" else f"file://{tmp_path}"
    monkeypatch.setenv("AIRFLOW_VAR_PIXVERSE_FOLDER", place)
    return Table(place)


class Table:
    """A folder with a table of prompts, its videos and the manifest."""

    def __init__(self, place):
        self.place = ObjectStoragePath(place)

    def write(self, *lines):
        (self.place / "prompts.csv").write_text("\n".join(["prompt,first_frame_path", *lines]))

    @property
    def manifest(self):
        text = (self.place / "manifest.csv").read_text()
        return {line["prompt"]: line for line in csv.DictReader(io.StringIO(text))}

    def became(self):
        return {prompt: line["status"] for prompt, line in self.manifest.items()}

    @property
    def videos(self):
        return sorted(str(path) for path in (self.place / "videos").iterdir())


@pytest.fixture
def run_table(example):
    """A function that runs the example, without its pauses."""

    def run_once():
        dag = example("pixverse_table")
        dag.get_task("make").partial_kwargs |= {"retry_delay": timedelta(0), "poke_interval": 0.2}
        return run(dag)

    return run_once


def test_pixverse_table(sim, table, run_table):
    sim.set_credits("a-1@example.com", 1000)
    sim.set_credits("a-2@example.com", 1000)
    (table.place / "fox.png").write_bytes(b"a picture")
    sim.set_fate("an owl", "moderated")
    rows = ["a fox,fox.png", "an owl,", ",", "a hare,no_such.png", "a cat,", "a fox,fox.png", " ,"]
    table.write(*rows, "{{ ds }} in the snow,")
    outcome = run_table()

    assert sorted(outcome.states["make"]) == ["failed"] * 4 + ["success"] * 3
    assert outcome.state("write_down") == "failed"  # so the run has failed, and somebody looks
    submitted = [job.payload["prompt"] for job in sim.submitted()]
    assert sorted(submitted) == ["a cat", "a fox", "an owl", "{{ ds }} in the snow"]
    assert table.became() == {
        "a fox": "stored",
        "an owl": "moderated",
        "": "not submitted",
        " ": "not submitted",
        "a hare": "not submitted",
        "a cat": "stored",
        "{{ ds }} in the snow": "stored",
    }
    stored = [line for line in table.manifest.values() if line["path"]]
    assert sorted(line["path"] for line in stored) == table.videos
    assert {line["cost_credits"] for line in stored} == {"20"}
    assert "no prompt" in table.manifest[""]["reason"]
    assert "no_such.png" in table.manifest["a hare"]["reason"]
    assert table.manifest["an owl"]["job"] in {job.id for job in sim.submitted()}
    [upload] = sim.uploads
    [fox] = [job for job in sim.submitted() if job.payload["prompt"] == "a fox"]
    assert fox.payload["first_frame_path"] == upload.path

    # The hare's picture is there now, the table is sorted anew, and has a row more.
    (table.place / "no_such.png").write_bytes(b"a hare")
    table.write("a dog,", *reversed(rows[:2] + rows[3:-1]))
    again = run_table()
    assert again.states["make"] == ["success"] * 2
    assert again.state("write_down") == "success"
    assert {job.payload["prompt"] for job in sim.submitted()[4:]} == {"a dog", "a hare"}
    assert len(table.videos) == 5
    nothing = run_table()
    assert (nothing.states["make"], nothing.state("write_down")) == (["skipped"], "success")
    assert sim.submitted_count == 6


@pytest.mark.parametrize("table", ["folder"], indirect=True)
def test_the_table_leaves_out_what_may_be_paid_for(sim, table, run_table, dying, short_minutes):
    table.write("a fox,")
    dying("before")  # which the retry cannot know
    assert run_table().states["make"] == ["failed"]
    assert table.became() == {"a fox": "unknown"}
    assert "Nobody can know" in table.manifest["a fox"]["reason"]
    assert run_table().states["make"] == ["skipped"]
    assert table.became() == {"a fox": "unknown"}
    (table.place / "manifest.csv").unlink()  # so somebody has looked
    assert run_table().states["make"] == ["success"]
    assert sim.submitted_count == 1


@pytest.mark.parametrize("table", ["folder"], indirect=True)
def test_a_table_that_cannot_be_read_makes_nothing(sim, table, run_table, logged):
    outcome = run_table()
    assert outcome.state("read_table") == "failed"
    assert outcome.state("write_down") == "failed"  # so the run has failed, too
    assert "the task read_table has failed" in logged()
    assert outcome.states["make"] == ["upstream_failed"]
    assert sim.submitted_count == 0


@pytest.mark.parametrize("table", ["folder"], indirect=True)
def test_the_table_may_come_from_a_spreadsheet(sim, table, run_table):
    table.write("a fox,")
    prompts = table.place / "prompts.csv"
    prompts.write_text(prompts.read_text(), encoding="utf-8-sig")
    assert run_table().states["make"] == ["success"]
    assert table.became() == {"a fox": "stored"}
    table.write("a fox,")  # saved by another program
    assert run_table().states["make"] == ["skipped"]


@pytest.mark.parametrize("table", ["folder"], indirect=True)
def test_the_table_names_the_job_whose_video_could_not_be_stored(sim, table, run_table):
    sim.set_credits("a-1@example.com", 1000)
    sim.set_credits("a-2@example.com", 1000)
    sim.inject(faults.status(404), path=".mp4", times=None)
    table.write("a fox,")
    assert run_table().states["make"] == ["failed"]
    [job] = sim.submitted()
    line = table.manifest["a fox"]
    assert (line["status"], line["job"], line["cost_credits"]) == ("accepted", job.id, "20")
    sim.clear_faults()
    assert run_table().states["make"] == ["skipped"]

    # Stored by hand under the name of the row.
    (table.place / "videos" / f"{line['key']}.mp4").write_bytes(b"a video")
    assert run_table().states["make"] == ["skipped"]
    assert table.became() == {"a fox": "stored"}
    assert sim.submitted_count == 1


@pytest.mark.parametrize("table", ["folder"], indirect=True)
def test_the_table_leaves_out_what_a_run_that_was_ended_has_begun(sim, table, run_table):
    table.write("a fox,", "an owl,")
    run_table()
    owl = table.manifest["an owl"]
    ObjectStoragePath(owl["path"]).unlink()
    manifest = table.place / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",stored,", ",begun,"))
    assert run_table().states["make"] == ["skipped"]
    assert table.became() == {"a fox": "stored", "an owl": "begun"}
    assert sim.submitted_count == 2


@pytest.mark.parametrize("fate", ["moderated", "refused"])
def test_pixverse_moderated(sim, example, fate):
    sim.set_fate("battle", fate)
    outcome = run(example("pixverse_moderated"))
    assert (outcome.state("make_video"), outcome.state("make_another")) == ("failed", "success")
    assert outcome.xcom("show") == outcome.xcom("make_another")["url"]


def test_what_moderation_lets_pass_needs_no_other_prompt(sim, example):
    outcome = run(example("pixverse_moderated"))
    assert (outcome.state("make_video"), outcome.state("make_another")) == ("success", "skipped")
    assert outcome.xcom("show") == outcome.xcom("make_video")["url"]


def test_pixverse_wait_for_results(sim, example):
    jobs = [sim.start_job("a-1@example.com") for _ in range(2)]
    sim.start_job("a-2@example.com", outcome="failed")
    with ending_jobs_after_two_looks(sim):
        outcome = run(example("pixverse_wait_for_results"))
    assert sorted(outcome.states["wait_for_result"]) == ["failed", "success", "success"]
    shown = outcome.xcom("show")
    assert sorted(line.split(": ")[0] for line in shown) == sorted(jobs)


def test_the_readme_makes_a_video(sim, readme):
    outcome = run(readme("pixverse_fox"))
    [job] = sim.submitted()
    assert (outcome.xcom("make_video")["id"], job.payload["model"]) == (job.id, "v5")
    assert job.payload["prompt"].startswith("a fox in the snow on 20")


def test_the_readme_makes_a_table_of_videos(sim, readme):
    outcome = run(readme("pixverse_animals"))
    assert outcome.states["make"] == ["success"] * 3
    prompts = {job.payload["prompt"] for job in sim.submitted()}
    assert prompts == {f"{animal} in the snow" for animal in ("a fox", "an owl", "a hare")}


@pytest.fixture(scope="module")
def my_bucket(object_store):
    """The bucket that the DAGs of the README name."""
    bucket = object_store.new_bucket("my-bucket")
    bucket.put("frames/fox.png", b"a fox")
    # As spreadsheets write it.
    bucket.put("campaign/prompts.csv", b"\xef\xbb\xbfname,prompt\r\nfox,a fox\r\nowl,an owl\r\nfox,a hen\r\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_MY_AWS", json.dumps(object_store.connection))
        yield bucket


def test_the_readme_keeps_a_video_that_begins_with_a_picture(sim, readme, my_bucket):
    result = run(readme("pixverse_kept")).xcom("make_video")
    [job], [upload] = sim.submitted(), sim.uploads
    assert job.payload["first_frame_path"] == upload.path
    assert upload.sha256 == hashlib.sha256(b"a fox").hexdigest()
    key = result["path"].removeprefix("s3://my_aws@my-bucket/")
    assert re.fullmatch(r"videos/20\d\d-\d\d-\d\d/video-\d+\.mp4", key)
    assert hashlib.sha256(my_bucket.get(key)).hexdigest() == sim.media_sha256(job.id)


def test_the_readme_makes_the_rows_of_a_table_in_a_bucket(sim, readme, my_bucket):
    assert run(readme("pixverse_csv")).states["make"] == ["success"] * 3
    videos = [key for key in my_bucket.keys if key.startswith("campaign/videos/")]
    names = [re.fullmatch(r"campaign/videos/(\w+)-\d+\.mp4", video)[1] for video in videos]
    assert names == ["fox", "fox", "owl"], "none replaces another"
    assert {job.payload["prompt"] for job in sim.submitted()} == {"a fox", "an owl", "a hen"}


def test_the_readme_cancels_old_jobs(sim, readme):
    sim.start_job(started=datetime.now(UTC) - timedelta(hours=2))
    sim.start_job()
    assert run(readme("pixverse_cancel_old_jobs")).xcoms["cancel"] == [True]
    assert sim.free() == 5


@ended_by_hand
@pytest.mark.skipif(AIRFLOW.major < 3, reason="Airflow 2 has no asset watchers")
def test_the_readme_drains_a_backlog_into_the_slots_that_are_free(sim, readme, backlog):
    [first, second, *_] = sim.fill()
    sim.end_job(first)
    sim.end_job(second)
    backlog(["a fox", "an owl", "a hare"])
    outcome = run(readme("pixverse_drain_backlog"))
    assert len(outcome.xcom("drain")) == 2
    assert sim.free() == 0
    assert backlog() == ["a hare"]


@pytest.mark.skipif(AIRFLOW.major < 3, reason="Airflow 2 has no asset watchers")
def test_the_readme_keeps_a_prompt_that_is_refused(sim, readme, backlog):
    sim.inject(faults.rate_limit(), path="videos/create")
    backlog(["a fox", "an owl"])
    outcome = run(readme("pixverse_drain_backlog"))
    assert outcome.xcom("drain") == []
    assert backlog() == ["a fox", "an owl"]


@pytest.mark.skipif(AIRFLOW.major < 3, reason="Airflow 2 has no asset watchers")
@pytest.mark.parametrize("fault", [faults.lost_answer(), faults.status(422)], ids=["lost", "moderated"])
def test_the_readme_does_not_submit_again_what_is_refused_or_perhaps_accepted(
    sim, readme, backlog, logged, fault
):
    sim.inject(fault, path="videos/create")
    backlog(["a fox", "an owl"])
    assert run(readme("pixverse_drain_backlog")).state("drain") == "failed"
    assert backlog() == ["an owl"]
    assert "Given up: a fox" in logged()
