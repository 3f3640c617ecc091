"""A table as one task, inside Airflow."""

import json
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Asset, AssetAlias, task

from airflow_pixverse.operators.pixverse import PixverseBatchOperator
from tests.helpers.asset_events import asset_events, register
from tests.helpers.dag_runs import new_dag, run

pytestmark = pytest.mark.pixverse_simulator(job_seconds=(0.1, 0.2))
PROMPT = {"prompt": "{prompt}"}


@pytest.fixture
def folder(tmp_path):
    """The address of a folder with a table of three prompts."""
    (tmp_path / "prompts.csv").write_text("id,prompt\n1,a fox\n2,an owl\n3,a hare\n")
    return tmp_path.as_uri()


def batch(folder, **kwargs):
    """Run a DAG with one batch."""
    with new_dag("batch") as dag:
        defaults = {"rows": f"{folder}/prompts.csv", "payload": PROMPT, "poke_interval": 0.2}
        PixverseBatchOperator(task_id="campaign", folder=folder, **(defaults | kwargs))
    return run(dag)


def prompts(sim):
    """The prompts that are paid for, in order."""
    return sorted(job.payload["prompt"] for job in sim.submitted())


def test_batch_of_a_csv_file_returns_its_summary(sim, folder, tmp_path):
    outcome = batch(folder)
    summary = outcome.xcom("campaign")
    assert outcome.state("campaign") == "success"
    assert (summary["rows"], summary["distinct"], summary["made"], summary["stopped"]) == (3, 3, 3, "")
    assert summary["manifest"] == f"{folder}/campaign.csv"
    assert summary["counts"]["stored"] == len(list(tmp_path.glob("*.mp4"))) == 3
    assert prompts(sim) == ["a fox", "a hare", "an owl"]


def test_batch_of_json_lines_sends_values_of_their_types(sim, folder, tmp_path):
    rows = [{"prompt": "a fox", "seconds": 8}, {"prompt": "an owl", "seconds": None}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    outcome = batch(
        folder, rows=f"{folder}/rows.jsonl", payload={"prompt": "{prompt}", "duration": "{seconds}"}
    )
    assert outcome.state("campaign") == "success"
    assert {job.payload["prompt"]: job.payload.get("duration") for job in sim.submitted()} == {
        "a fox": 8,
        "an owl": None,
    }


def test_batch_of_an_xcom_whose_cells_look_like_templates_renders_none_of_them(sim, folder):
    with new_dag("batch") as dag:

        @task
        def table():
            return [{"prompt": "{{ dag.dag_id }} {prompt}"}]

        PixverseBatchOperator(
            task_id="campaign", rows=table(), payload=PROMPT, folder=folder, poke_interval=0.2
        )
    assert run(dag).state("campaign") == "success"
    assert prompts(sim) == ["{{ dag.dag_id }} {prompt}"]


LOOKS_LIKE_A_TEMPLATE = "{{ dag.dag_id }} {prompt}"


def test_batch_of_a_list_whose_cells_look_like_templates_renders_none_of_them(sim, folder):
    rows = [{"prompt": LOOKS_LIKE_A_TEMPLATE}, {"prompt": "cut {{"}]
    with new_dag("batch") as dag:

        @task
        def owl():
            return "{{ an }} owl"

        common = {"folder": folder, "poke_interval": 0.2}
        PixverseBatchOperator(task_id="one", rows=[*rows, {"prompt": owl()}], payload=PROMPT, **common)
        PixverseBatchOperator.partial(task_id="two", payload=PROMPT, key="two", **common).expand(rows=[rows])

        @task.pixverse_batch(rows=rows, key="three", **common)
        def three(row):
            return {"prompt": row["prompt"]}

        three()
    assert run(dag).state("three") == "success"
    assert prompts(sim) == sorted([LOOKS_LIKE_A_TEMPLATE, "cut {{"] * 3 + ["{{ an }} owl"])


def test_batch_with_templates_of_its_own_renders_them(sim, folder):
    outcome = batch(
        "{{ params.folder }}", rows="{{ params.folder }}/prompts.csv", params={"folder": folder},
        payload={"prompt": "{prompt} of {{ dag.dag_id }}"},
    )  # fmt: skip
    assert outcome.state("campaign") == "success"
    assert "a fox of batch" in prompts(sim)


def test_decorated_function_gets_each_row_and_returns_its_payload(sim, folder):
    with new_dag("batch") as dag:

        @task.pixverse_batch(rows=f"{folder}/prompts.csv", folder=folder, poke_interval=0.2)
        def campaign(row, style):
            return {"prompt": f"{row['prompt']}, {style}"}

        campaign(style="in oil")
    outcome = run(dag)
    assert outcome.state("campaign") == "success"
    assert prompts(sim) == ["a fox, in oil", "a hare, in oil", "an owl, in oil"]


def test_decorated_function_that_returns_something_else_each_time_is_refused(sim, folder):
    numbers = iter(range(100))
    with new_dag("batch") as dag:

        @task.pixverse_batch(rows=f"{folder}/prompts.csv", folder=folder, poke_interval=0.2)
        def campaign(row):
            return {"prompt": row["prompt"], "seed": next(numbers)}

        campaign()
    assert run(dag).state("campaign") == "failed"
    assert prompts(sim) == []


def test_decorated_function_that_fails_refuses_its_row_only(sim, folder):
    with new_dag("batch") as dag:

        @task.pixverse_batch(rows=f"{folder}/prompts.csv", folder=folder, poke_interval=0.2, fail_on="none")
        def campaign(row):
            if row["id"] == "2":
                raise AirflowFailException("no owls")
            return {"prompt": row["prompt"]}

        campaign()
    outcome = run(dag)
    assert outcome.xcom("campaign")["counts"]["refused"] == 1
    assert prompts(sim) == ["a fox", "a hare"]


def test_batch_with_rows_that_fail_is_not_retried_and_says_why(sim, folder, logged):
    sim.set_fate("an owl", "moderated")
    outcome = batch(folder, retries=2, retry_delay=0)
    assert (outcome.state("campaign"), outcome.tries["campaign"]) == ("failed", [1])
    assert "of 3 distinct rows: 2 stored, 1 moderated" in logged()


def test_clear_of_a_batch_that_succeeded_calls_nothing(sim, folder):
    batch(folder)
    before = sim.request_count
    assert batch(folder).xcom("campaign")["made"] == 0
    assert sim.request_count == before


def test_batch_in_a_bucket_stores_everything_there(sim, bucket):
    folder = f"s3://object_store@{bucket.name}/campaign"
    outcome = batch(folder, rows=[{"prompt": f"cat {number}"} for number in range(4)])
    assert outcome.state("campaign") == "success"
    again = batch(folder, rows=[{"prompt": f"cat {number}"} for number in range(5)])
    assert again.xcom("campaign")["made"] == 1
    assert len(prompts(sim)) == 5


def test_table_that_cannot_be_used_ends_the_task_before_any_call(sim, folder, tmp_path, logged):
    (tmp_path / "prompts.csv").write_text("prompt\na, fox\n")
    outcome = batch(folder, retries=1, retry_delay=0)
    assert (outcome.state("campaign"), outcome.tries["campaign"]) == ("failed", [1])
    assert "line 2: it has not 1 cells" in logged()
    assert sim.request_count == 0


def test_outlets_of_a_batch_tell_the_folder_and_each_new_file(sim, folder):
    uri = f"{folder}/outlet"
    with new_dag("batch") as dag:
        PixverseBatchOperator(
            task_id="campaign",
            rows=f"{folder}/prompts.csv",
            payload=PROMPT,
            folder=folder,
            poke_interval=0.2,
            outlets=[Asset(uri), AssetAlias("files")],
        )
    register(dag)
    summary = run(dag).xcom("campaign")
    [event] = asset_events(uri)
    assert event == {"path": folder, "manifest": summary["manifest"], "counts": summary["counts"]}
    file, *others = summary_files(folder)
    assert asset_events(file) == [{"path": file}]
    assert len(others) == 2


def summary_files(folder):
    """The addresses of the videos in a folder."""
    return [path.as_uri() for path in Path(folder.removeprefix("file://")).glob("*.mp4")]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rows": 7}, "rows must be the path of a CSV or JSON Lines file"),
        ({"rows": ["a cat"]}, "rows must hold objects"),
        ({"payload": "a cat"}, "payload must be an object"),
        ({"payload": {"duration": "{seconds:integer}"}}, "the type must be one of int, float, bool, json"),
        ({"payload": {"duration": "about {seconds:int}"}}, "must stand alone"),
        ({"folder": "campaign"}, "folder must be a path"),
        ({"endpoint": "accounts"}, "endpoint must be a path below videos/"),
        ({"key": ""}, "key must be a string"),
        ({"key": "{id:str}"}, "key: {id:str}: the type must be one of int, float, bool, json"),
        ({"file_name": "{id"}, "file_name must be the name of a file"),
        ({"input_folder": "inputs"}, "input_folder must be a path"),
        ({"max_slots": 0}, "max_slots must be a whole number of at least 1"),
        ({"keep_free": -1}, "keep_free must be a whole number, 0 or more"),
        ({"max_credits": "many"}, "max_credits must be a whole number"),
        ({"min_credits": 1.5}, "min_credits must be a whole number"),
        ({"remake": ["stored"]}, "remake may hold 'failed', 'moderated', 'unknown'"),
        ({"fail_on": "some"}, "fail_on must be one of 'any', 'all', 'none'"),
    ],
)
def test_parameter_that_cannot_be_used_is_named_when_the_dag_is_parsed(parameters, message):
    defaults = {"rows": [], "payload": PROMPT, "folder": "file:///tmp/campaign"}
    with pytest.raises(ValueError, match=message):
        PixverseBatchOperator(task_id="campaign", **(defaults | parameters))
