"""Every example DAG is run as it is."""

import importlib
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from airflow_pixverse.simulator import faults
from tests.helpers.approvals import answering
from tests.helpers.dag_runs import AIRFLOW, after_submits, ending_jobs_after_two_looks, run
from tests.helpers.tables import Table

FOLDER = Path(__file__).parents[2] / "example_dags"
pytestmark = pytest.mark.usefixtures("without_a_logical_date")
# Versions of Airflow that lack what an example shows, where it has no DAG.
NEEDS = {"pixverse_on_capacity": "3.0", "pixverse_review": "3.1"}
ASKS_PERSONS = AIRFLOW >= Version(NEEDS["pixverse_review"])


@pytest.fixture
def example(monkeypatch):
    """A function that loads an example DAG by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name):
        module = importlib.reload(sys.modules[name]) if name in sys.modules else importlib.import_module(name)
        return module.dag

    return load


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_every_example_says_in_the_ui_what_it_is_for(example, name):
    if AIRFLOW < Version(NEEDS.get(name, "2.0")):
        pytest.skip("it has no DAG on this Airflow")
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


def test_the_report_of_prompts_calls_no_job_unsubmitted_that_may_be_paid_for(sim, example):
    sim.inject(faults.lost_request(code=200, body={}), times=1, method="POST")
    outcome = run(example("pixverse_prompts"))
    assert sorted(outcome.states["make"]) == ["failed", "success", "success"]
    assert [line.partition(": ")[2] for line in outcome.xcom("report") if "http" not in line] == ["unknown"]


@pytest.fixture(params=["folder", "bucket"])
def table(request, tmp_path, monkeypatch):
    """A table of prompts in a folder of this machine, or in a bucket."""
    place = request.getfixturevalue("bucket").url if request.param == "bucket" else f"file://{tmp_path}"
    monkeypatch.setenv("AIRFLOW_VAR_PIXVERSE_FOLDER", f"{place}/campaign/")
    return Table(f"{place}/campaign")


@pytest.fixture
def run_table(example):
    """A function that runs the example with looks in quick succession, and returns how its task ended."""

    def run_once():
        dag = example("pixverse_table")
        task = dag.get_task("make_videos")
        task.poke_interval, task.retries = 0.2, 0
        outcome = run(dag)
        return outcome.state("make_videos"), outcome.xcom("make_videos")

    return run_once


def test_pixverse_table(sim, table, run_table):
    (table.place / "frames").mkdir()
    (table.place / "frames" / "fox.png").write_bytes(b"a picture")
    rows = ["a fox,frames/fox.png", '"an owl, at night",', "{{ ds }} {prompt},", "a fox,frames/fox.png"]
    table.write(*rows)
    state, summary = run_table()
    assert (state, summary["made"], summary["rows"], summary["distinct"]) == ("success", 3, 4, 3)
    submitted = {job.payload["prompt"]: job.payload for job in sim.submitted()}
    assert submitted.keys() == {"a fox", "an owl, at night", "{{ ds }} {prompt}"}
    [upload] = sim.uploads
    assert submitted["a fox"]["first_frame_path"] == upload.path
    assert "first_frame_path" not in submitted["an owl, at night"]
    assert set(table.became().values()) == {"stored"}
    assert sorted(line["path"] for line in table.manifest.values()) == table.videos

    state, summary = run_table()
    assert (state, summary["made"], summary["counts"]["stored"]) == ("success", 0, 3)
    assert sim.submitted_count == 3

    table.write("a dog,", *reversed(rows))
    state, summary = run_table()
    assert (state, summary["made"]) == ("success", 1)
    assert [job.payload["prompt"] for job in sim.submitted()[3:]] == ["a dog"]
    assert len(table.videos) == 4


@pytest.mark.parametrize("table", ["folder"], indirect=True)
def test_the_table_names_the_rows_that_have_no_video(sim, table, run_table):
    sim.set_fate("an owl", "moderated")
    table.write("a fox,", "an owl,", "a hare,no_such.png", "a cat,../cat.png")
    assert run_table()[0] == "failed"
    assert table.became() == {
        "a fox": "stored",
        "an owl": "moderated",
        "a hare": "refused",
        "a cat": "refused",
    }
    assert "no_such.png" in table.manifest["a hare"]["reason"]
    assert "input_folder" in table.manifest["a cat"]["reason"]
    assert {job.payload["prompt"] for job in sim.submitted()} == {"a fox", "an owl"}

    # The picture of the hare is there now, and the two others are given up.
    (table.place / "no_such.png").write_bytes(b"a hare")
    table.write("a fox,", "a hare,no_such.png")
    assert run_table()[0] == "success"
    assert table.became() == {"a fox": "stored", "a hare": "stored"}
    assert sim.submitted_count == 3


ATTEMPTS = ("make_first", "make_second", "make_third")


@pytest.mark.parametrize(
    ("moderated", "states"),
    [
        (0, ["success", "skipped", "skipped"]),
        (1, ["failed", "success", "skipped"]),
        (2, ["failed", "failed", "success"]),
        (3, ["failed", "failed", "failed"]),
    ],
)
def test_pixverse_moderated(sim, example, moderated, states):
    sim.set_fate("battle", "moderated" if moderated else None)
    with after_submits(sim, moderated, sim.clear_fates):
        outcome = run(example("pixverse_moderated"))
    assert [outcome.state(name) for name in ATTEMPTS] == states
    seeds = [job.payload["seed"] for job in sim.submitted()]
    assert len(set(seeds)) == len(seeds) == 3 - states.count("skipped")
    if "success" in states:
        assert outcome.xcom("show") == outcome.xcom(ATTEMPTS[moderated])["url"]
    else:
        assert outcome.state("show") == "upstream_failed"


@pytest.mark.parametrize(("fate", "paid"), [("refused", 0), ("failed", 1)])
def test_example_of_moderation_tries_nothing_else_again(sim, example, fate, paid):
    sim.set_fate("battle", fate)
    outcome = run(example("pixverse_moderated"))
    assert [outcome.state(name) for name in ATTEMPTS] == ["failed", "skipped", "skipped"]
    assert outcome.state("show") == "upstream_failed"
    assert sim.submitted_count == paid


@pytest.mark.skipif(ASKS_PERSONS, reason="it has a DAG on this Airflow")
def test_example_of_a_review_imports_where_airflow_asks_nobody(example):
    with pytest.raises(AttributeError, match="dag"):
        example("pixverse_review")


@pytest.mark.skipif(not ASKS_PERSONS, reason="this Airflow asks nobody")
@pytest.mark.parametrize(
    ("answer", "upscaled"), [("Approve", ["videos/upscale"]), ("Reject", [])], ids=["approved", "rejected"]
)
def test_pixverse_review(sim, example, answer, upscaled):
    with answering("pixverse_review", "approve", answer) as seen:
        outcome = run(example("pixverse_review"))
    draft, *upscales = sim.submitted()
    assert (draft.endpoint, draft.payload["quality"]) == ("videos/create", "360p")
    assert seen.body == f"[The draft]({outcome.xcom('make_draft')['url']})"
    assert [job.endpoint for job in upscales] == upscaled
    assert [job.payload["video_id"] for job in upscales] == [draft.id] * len(upscaled)
    assert outcome.state("upscale") == ("success" if upscaled else "skipped")


def test_pixverse_chain(sim, example):
    outcome = run(example("pixverse_chain"))
    create, extend, upscale = sim.submitted()
    assert [job.endpoint for job in (create, extend, upscale)] == [
        "videos/create", "videos/extend", "videos/upscale"
    ]  # fmt: skip
    assert (extend.payload["video_id"], upscale.payload["video_id"]) == (create.id, extend.id)
    assert extend.email == create.email
    assert outcome.xcom("upscale")["id"] == upscale.id


def test_chain_of_examples_ends_where_a_step_fails(sim, example):
    sim.set_fate("a den", "moderated")
    outcome = run(example("pixverse_chain"))
    assert [outcome.state(name) for name in ("create", "extend", "upscale")] == [
        "success", "failed", "upstream_failed"
    ]  # fmt: skip
    assert sim.submitted_count == 2


def test_pixverse_wait_for_results(sim, example):
    jobs = [sim.start_job("a-1@example.com") for _ in range(2)]
    sim.start_job("a-2@example.com", outcome="failed")
    with ending_jobs_after_two_looks(sim):
        outcome = run(example("pixverse_wait_for_results"))
    assert sorted(outcome.states["wait_for_result"]) == ["failed", "success", "success"]
    shown = outcome.xcom("show")
    assert sorted(line.split(": ")[0] for line in shown) == sorted(jobs)
