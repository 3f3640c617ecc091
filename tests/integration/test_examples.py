"""Every example DAG is run as it is, and so are the DAGs of the README that do more than wait."""

import importlib
import runpy
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_pixverse.simulator import faults
from tests.documents import dag_snippet
from tests.integration.dag_runs import AIRFLOW, ending_jobs_after_two_looks, run

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
    outcome = run(readme("pixverse_table"))
    assert outcome.states["make"] == ["success"] * 3
    prompts = {job.payload["prompt"] for job in sim.submitted()}
    assert prompts == {f"{animal} in the snow" for animal in ("a fox", "an owl", "a hare")}


def test_the_readme_cancels_old_jobs(sim, readme):
    sim.start_job(started=datetime.now(UTC) - timedelta(hours=2))
    sim.start_job()
    assert run(readme("pixverse_cancel_old_jobs")).xcoms["cancel"] == [True]
    assert sim.free() == 5


@pytest.mark.pixverse_simulator(job_seconds=(600, 600))  # longer than any machine takes for the test
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
