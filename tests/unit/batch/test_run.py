"""A table in one task: each row is made once, whatever happens to others, on the simulator."""

import csv
import json
import time
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, Stats

from airflow_pixverse.api.results import JobResult
from airflow_pixverse.batch import run as run_module
from airflow_pixverse.batch import table as table_module
from airflow_pixverse.batch.__main__ import main
from airflow_pixverse.simulator import faults
from airflow_pixverse.waits import submit_state
from tests.unit.batch.conftest import kill_after, paid, posts, prompts, running

quick = pytest.mark.pixverse_simulator(job_seconds=(0.2, 0.4))
ended_by_hand = pytest.mark.pixverse_simulator(job_seconds=(600, 600))
pytestmark = quick


def manifest(batch):
    """The lines of the manifest."""
    with (batch.folder / "campaign.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_batch_of_new_rows_stores_each_with_one_submit_and_one_question(sim, batch):
    summary = batch(prompts(*range(15)))
    assert (summary["rows"], summary["distinct"], summary["made"]) == (15, 15, 15)
    assert summary["counts"]["stored"] == 15
    calls = Counter(
        (one.method, one.path.rpartition("/v2/pixverse/")[2].partition("/")[0]) for one in sim.requests
    )
    assert calls["POST", "videos"] == calls["GET", "videos"] == 15
    assert paid(sim) == sorted(row["prompt"] for row in prompts(*range(15)))


def test_manifest_names_each_row_with_its_file_and_job(sim, batch):
    batch([{"prompt": "a fox", "scene": "1"}, {"prompt": "an owl", "scene": "2"}])
    [fox, owl] = manifest(batch)
    assert (fox["prompt"], fox["scene"], fox["status"]) == ("a fox", "1", "stored")
    [job] = sim.submitted(prompt="an owl")
    assert owl["job_ids"] == job.id
    assert fox["path"].endswith(f"{fox['key']}.mp4")
    assert (batch.folder / f"{fox['key']}.mp4").exists()


def test_batch_of_made_rows_calls_nothing(sim, batch):
    batch(prompts(1, 2, 3))
    before = sim.request_count
    summary = batch([*prompts(3, 1), *prompts(2, 2)], run="another")
    assert sim.request_count == before
    assert (summary["rows"], summary["distinct"], summary["made"]) == (4, 3, 0)


def test_row_that_stands_twice_is_made_once(sim, batch):
    batch([{"id": "a", "prompt": "cat"}, {"id": "b", "prompt": "cat"}])
    assert paid(sim) == ["cat"]
    assert [(line["id"], line["status"]) for line in manifest(batch)] == [("a", "stored"), ("b", "stored")]


def test_row_that_is_added_is_one_submit(sim, batch):
    batch(prompts(1, 2))
    batch(prompts(0, 1, 2), run="another")
    assert paid(sim) == ["cat 0", "cat 1", "cat 2"]


def test_column_that_is_not_sent_changes_no_row(sim, batch):
    batch(prompts(1))
    batch([{"prompt": "cat 1", "comment": "new"}], run="another")
    assert len(posts(sim)) == 1


def test_key_tells_rows_of_one_payload_apart(sim, batch):
    batch([{"prompt": "cat 1", "id": "a"}, {"prompt": "cat 1", "id": "b"}], plan={"key": "{id}"})
    assert paid(sim) == ["cat 1", "cat 1"]


# Rows that fail fail themselves only


@pytest.mark.parametrize("fate", ["failed", "moderated"])
def test_row_whose_job_ends_badly_fails_itself_only(sim, batch, fate):
    sim.set_fate("cat 2", fate)
    with pytest.raises(AirflowFailException, match=rf"of 3 distinct rows: 2 stored, 1 {fate}"):
        batch(prompts(1, 2, 3))
    assert batch.statuses == ["stored", fate, "stored"]
    assert batch.xcoms["summary"]["counts"][fate] == 1
    [failure] = batch.xcoms["failures"]
    assert (failure["row"], failure["status"]) == (2, fate)


@pytest.mark.parametrize("fate", ["failed", "moderated"])
def test_row_whose_job_ended_badly_is_not_made_again(sim, batch, fate):
    sim.set_fate("cat 1", fate)
    for run in ("run", "another"):
        with pytest.raises(AirflowFailException):
            batch(prompts(1), run=run)
    assert len(posts(sim)) == 1


def test_remake_makes_ends_of_other_runs_again_and_its_own_not(sim, batch):
    sim.set_fate("cat 1", "failed")
    for run in ("run", "another", "another"):
        with pytest.raises(AirflowFailException):
            batch(prompts(1), run=run, remake=frozenset({"failed"}))
    assert len(posts(sim)) == 2


@pytest.mark.parametrize(
    ("fail_on", "fates", "fails"),
    [("none", "ff", False), ("all", "f-", False), ("all", "ff", True), ("any", "f-", True)],
)
def test_fail_on_says_which_rows_fail_the_task(sim, batch, fail_on, fates, fails):
    for number, fate in enumerate(fates):
        sim.set_fate(f"cat {number}", "failed" if fate == "f" else None)
    run = batch.new_run(prompts(0, 1), fail_on=fail_on)
    if fails:
        with pytest.raises(AirflowFailException):
            run.run()
    else:
        assert run.run()["counts"]["failed"] == fates.count("f")


def test_row_that_the_service_refuses_is_refused_alone(sim, batch):
    sim.inject(faults.status(400, "no such model"), times=1, method="POST")
    with pytest.raises(AirflowFailException, match="no such model"):
        batch(prompts(1, 2, 3))
    assert sorted(batch.statuses) == ["refused", "stored", "stored"]


def test_row_whose_payload_has_no_hash_is_refused_alone(sim, batch):
    def payload(row):
        return {"prompt": row["prompt"]} | ({"x": {1: 1, "a": 2}} if row["prompt"] == "cat 1" else {})

    with pytest.raises(AirflowFailException):
        batch(prompts(0, 1), payload=payload)
    assert batch.statuses == ["stored", "refused"]


def test_row_with_a_cell_of_deep_json_is_refused_alone(sim, batch):
    rows = [{"prompt": "a", "x": "1"}, {"prompt": "b", "x": "[" * 900 + "]" * 900}]
    with pytest.raises(AirflowFailException):
        batch(rows, payload={"prompt": "{prompt}", "x": "{x:json}"})
    assert batch.statuses == ["stored", "refused"]


def test_row_with_an_empty_cell_of_a_type_drops_the_key(sim, batch):
    payload = {"prompt": "{prompt}", "duration": "{seconds:int}"}
    batch([{"prompt": "a", "seconds": " 8"}, {"prompt": "b", "seconds": ""}], payload=payload)
    sent = {job.payload["prompt"]: job.payload for job in sim.submitted()}
    assert sent["a"]["duration"] == 8
    assert "duration" not in sent["b"]


def test_row_with_a_cell_of_another_type_is_refused_before_anything_is_sent_for_it(sim, batch):
    with pytest.raises(AirflowFailException, match="column 'seconds' must hold int values, not 'eight'"):
        batch(
            [{"prompt": "a", "seconds": "eight"}, {"prompt": "b", "seconds": "5"}],
            payload={"prompt": "{prompt}", "duration": "{seconds:int}"},
        )
    assert paid(sim) == ["b"]


def test_rows_whose_files_would_have_one_name_are_refused_but_the_first(sim, batch):
    with pytest.raises(
        AirflowFailException, match=r"its file would have the name of that of row 1: fox\.\{ext\}"
    ):
        batch([{"prompt": "a", "id": "fox"}, {"prompt": "b", "id": "fox"}], plan={"file_name": "{id}.{ext}"})
    assert paid(sim) == ["a"]
    assert (batch.folder / "fox.mp4").exists()


def test_row_that_is_made_keeps_its_file_wherever_it_stands(sim, batch):
    rows = [{"prompt": "a", "id": "fox"}, {"prompt": "b", "id": "fox"}]
    for table in (rows, rows[::-1]):
        with pytest.raises(AirflowFailException, match="its file would have the name of that of row"):
            batch(table, plan={"file_name": "{id}.{ext}"})
    assert paid(sim) == ["a"]
    assert {row.lines[row.number]["prompt"]: row.status.value for row in batch.rows} == {
        "a": "stored",
        "b": "refused",
    }


@pytest.mark.parametrize("name", ["{id}.{ext}", "{type}/{id}.{ext}"])
def test_row_of_another_table_keeps_its_file_until_it_is_forgotten(sim, batch, name):
    plan = {"file_name": name}
    batch([{"prompt": "old", "id": "fox"}], plan=plan)
    key = batch.rows[0].key
    with pytest.raises(AirflowFailException, match=rf"its file would replace .*fox\.mp4 of row {key}"):
        batch([{"prompt": "new", "id": "fox"}], plan=plan, run="another")
    assert paid(sim) == ["old"]
    main(["forget", batch.folder.as_uri(), key, "--yes"])
    assert batch([{"prompt": "new", "id": "fox"}], plan=plan, run="third")["made"] == 1


def test_manifest_of_any_text_is_written(batch):
    batch(
        [{"prompt": "a fox", "note": "half of a sign: \ud83e"}, {"prompt": "an owl", "note": "x" * 200_000}]
    )
    assert [line["status"] for line in manifest(batch)] == ["stored", "stored"]
    assert batch([{"prompt": "a fox"}])["made"] == 0


def test_cells_that_are_no_json_are_written_as_text(batch):
    """As a query of a database returns them."""
    rows = [{"prompt": "a fox", "shot": datetime(2026, 1, 2, tzinfo=UTC), "price": Decimal("1.5")}]
    assert batch(rows)["made"] == 1
    [line] = csv.DictReader((batch.folder / "campaign.csv").read_text().splitlines())
    assert (line["shot"], line["price"]) == ("2026-01-02 00:00:00+00:00", "1.5")


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 6}, job_seconds=(600, 600))
def test_job_that_has_no_result_in_time_is_named_where_others_are_stored(sim, batch):
    run = batch.new_run(
        prompts(1), plan={"endpoint": "images/create"}, completion_timeout=3.0,
        payload={"prompt": "{prompt}", "create_count": 2},
    )  # fmt: skip
    with running(run) as future:
        sim.wait_for_submitted(2)
        one, other = sim.submitted()
        sim.end_job(one.id)
        assert future.result()["counts"]["stored"] == 1
    [line] = manifest(batch)
    assert f"job {other.id} is not finished within completion_timeout" in line["reason"]


def test_job_whose_end_is_not_known_here_fails_its_row_and_can_be_remade(sim, batch, monkeypatch):
    monkeypatch.setattr(JobResult, "is_finished", False)
    monkeypatch.setattr(JobResult, "has_unknown_end", True)
    with pytest.raises(AirflowFailException, match="has ended in a state that is not known here"):
        batch(prompts(1))
    assert batch.statuses == ["failed"]
    monkeypatch.undo()
    monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))
    assert batch(prompts(1), run="another", remake=frozenset({"failed"}))["made"] == 1


@pytest.mark.pixverse_simulator(accounts={"a@example.com": 6}, job_seconds=(600, 600))
def test_images_that_are_moderated_are_named_where_others_are_stored(sim, batch):
    run = batch.new_run(
        prompts(1), plan={"endpoint": "images/create"}, payload={"prompt": "{prompt}", "create_count": 2}
    )
    with running(run) as future:
        sim.wait_for_submitted(2)
        one, other = sim.submitted()
        sim.end_job(one.id)
        sim.end_job(other.id, "moderated", "a face")
        assert future.result()["counts"]["stored"] == 1
    [line] = manifest(batch)
    assert line["reason"].startswith(f"job {other.id} has ended as ")
    assert "a face" in line["reason"]


def test_missing_connection_ends_the_task_without_retry(sim, batch):
    with pytest.raises(AirflowFailException, match="not_there"):
        batch(prompts(1), pixverse_conn_id="not_there")
    assert sim.request_count == 0


@ended_by_hand
def test_missing_connection_keeps_no_retry_from_jobs_that_are_paid_for(sim, batch):
    kill_after(lambda: sim.wait_for_submitted(1), batch.new_run(prompts(1)))
    with pytest.raises(AirflowException, match="not_there") as raised:
        batch(prompts(1), pixverse_conn_id="not_there")
    assert not isinstance(raised.value, AirflowFailException)


def test_looks_that_are_refused_for_good_leave_a_summary_and_a_retry(sim, batch):
    sim.inject(faults.status(401), times=None, path="scheduler/available")
    with pytest.raises(AirflowException, match=r"No more rows were submitted.*401") as raised:
        batch(prompts(1))
    assert not isinstance(raised.value, AirflowFailException)
    assert "401" in batch.xcoms["summary"]["stopped"]


def test_cell_in_a_file_name_leads_nowhere_else(sim, batch):
    batch([{"prompt": "a", "id": "../../{x}"}], plan={"file_name": "{id}.{ext}"})
    [file] = batch.folder.glob("*.mp4")
    assert file.name == "_.._x_.mp4"


@ended_by_hand
def test_manifest_is_written_while_jobs_run(sim, batch, monkeypatch):
    monkeypatch.setattr(run_module, "_MANIFEST_EVERY", 0.0)
    run = batch.new_run(prompts(1, 2))
    with running(run) as future:
        sim.wait_for_submitted(2)
        while not (
            (batch.folder / "campaign.csv").exists() and all(one["job_ids"] for one in manifest(batch))
        ):
            assert not future.done()
            time.sleep(0.01)
        assert [line["status"] for line in manifest(batch)] == ["running", "running"]
        sim.end_all_jobs()
        assert future.result()["made"] == 2


def test_metrics_count_each_job_once(sim, batch, monkeypatch):
    counted = Counter()

    def incr(name, count=1, *_, tags, **__):
        counted[name, tags["type"]] += count

    monkeypatch.setattr(Stats, "incr", incr)
    sim.set_fate("cat 0", "failed")
    sim.set_fate("cat 1", "moderated")
    sim.inject(faults.rate_limit(), times=1, method="POST")
    monkeypatch.setattr(submit_state, "_FIRST_BACKOFF", 0.1)
    for run in ("run", "another"):
        with pytest.raises(AirflowFailException):
            batch(prompts(*range(5)), run=run)
    assert counted == {
        ("pixverse.jobs.refused", "video"): 1,
        ("pixverse.jobs.submitted", "video"): 5,
        ("pixverse.jobs.completed", "video"): 3,
        ("pixverse.jobs.failed", "video"): 1,
        ("pixverse.jobs.moderated", "video"): 1,
    }


def test_file_that_is_larger_than_max_bytes_is_left_to_a_retry(sim, batch, short_pauses):
    with pytest.raises(
        AirflowException, match=r"has more than max_bytes=10 bytes.*A retry goes on"
    ) as raised:
        batch(prompts(1), max_bytes=10)
    assert not isinstance(raised.value, AirflowFailException)
    assert not list(batch.folder.glob("*.mp4"))
    assert batch(prompts(1))["made"] == 1
    assert len(posts(sim)) == 1


def test_column_that_the_table_does_not_have_refuses_its_rows(sim, batch):
    with pytest.raises(AirflowFailException, match="the table has no column 'prompt'"):
        batch([{"text": "a fox"}, {"prompt": "an owl"}])
    assert batch.statuses == ["refused", "stored"]


@ended_by_hand
def test_job_that_ended_after_its_time_is_brought_home(sim, batch):
    kill_after(lambda: sim.wait_for_submitted(1), batch.new_run(prompts(1)))
    sim.end_all_jobs()
    assert batch(prompts(1), run="another", completion_timeout=0.0)["made"] == 1


@ended_by_hand
def test_job_that_does_not_end_in_time_is_left_to_a_retry(sim, batch):
    with pytest.raises(AirflowException, match=r"is not finished within completion_timeout.*A retry goes on"):
        batch(prompts(1), completion_timeout=1.0)
    assert batch.statuses == ["running"]


def test_table_with_the_name_of_the_manifest_is_refused(sim, batch):
    batch.folder.mkdir()
    (batch.folder / "campaign.csv").write_text("prompt\na fox\n")
    with pytest.raises(
        AirflowFailException, match=r"rows must not be .*campaign\.csv: the manifest has that name"
    ):
        batch(f"{batch.folder.as_uri()}/campaign.csv")
    assert (batch.folder / "campaign.csv").read_text() == "prompt\na fox\n"


def test_progress_that_cannot_be_pushed_ends_nothing(sim, batch, monkeypatch):
    monkeypatch.setattr(run_module, "_PROGRESS_EVERY", 0.0)

    class Broken(dict):
        def __setitem__(self, key, value):
            if key == "progress":
                raise OSError("no backend")
            super().__setitem__(key, value)

    batch.xcoms = Broken()
    assert batch(prompts(1))["made"] == 1


def test_table_that_is_too_large_is_refused_for_good(batch, tmp_path, monkeypatch):
    monkeypatch.setattr(table_module, "_MAX_BYTES", 10)
    (tmp_path / "prompts.csv").write_text("prompt\na fox in the snow\n")
    with pytest.raises(AirflowFailException, match=r"prompts\.csv has 25 bytes; a table has 10 at most"):
        batch(f"{tmp_path.as_uri()}/prompts.csv")
