"""The example DAGs, each really run."""

import csv
from datetime import UTC, datetime, timedelta

from airflow_pixverse.simulator import faults


def test_wait_then_list_waits_for_a_slot_and_lists_what_executes(airflow, sim):
    ended, *executing = sim.fill()
    run = airflow.trigger("pixverse_wait_then_list")
    airflow.wait_until_logged(run, "wait_for_slot", "0 free, 1 wanted")
    sim.end_job(ended)

    outcome = airflow.wait_for(run)
    assert outcome.task("wait_for_slot").ended == ("success", 1)
    [account] = outcome.task("wait_for_slot").xcom
    assert account["email"] in ended
    assert account["available"] == 1
    assert outcome.task("list_executing").ended == ("success", 1)
    assert {job["id"] for job in outcome.task("list_executing").xcom} == set(executing)


def test_skip_when_busy_waits_without_a_worker_and_skips_the_rest_when_no_slot_becomes_free(
    airflow, sim, forget
):
    sim.fill()
    forget()
    run = airflow.trigger("pixverse_skip_when_busy")

    outcome = airflow.wait_for(run)
    wait = outcome.task("wait_for_two_slots")
    assert wait.ended == ("skipped", 1)
    assert outcome.task("list_executing").state == "skipped"
    assert "fired" in airflow.trigger_log(run, "wait_for_two_slots")
    assert airflow.worker_runs(run) == {("wait_for_two_slots", -1): 2}  # to defer, and to resume


def test_skip_when_busy_goes_on_when_slots_are_free(airflow, sim):
    run = airflow.trigger("pixverse_skip_when_busy")

    outcome = airflow.wait_for(run)
    assert outcome.task("wait_for_two_slots").ended == ("success", 1)
    assert [account["available"] for account in outcome.task("wait_for_two_slots").xcom] == [3, 3]
    assert outcome.task("list_executing").ended == ("success", 1)
    assert outcome.task("list_executing").xcom == []


def test_map_over_executing_reports_each_stuck_video(airflow, sim):
    hours_ago = datetime.now(UTC) - timedelta(hours=2)
    stuck = [sim.start_job("a-1@example.com", started=hours_ago + timedelta(hours=n)) for n in range(2)]
    sim.start_job("a-1@example.com")
    sim.start_job("a-2@example.com", type="image", started=hours_ago)
    run = airflow.trigger("pixverse_map_over_executing")

    outcome = airflow.wait_for(run)
    assert [job["id"] for job in outcome.task("list_stuck_videos").xcom] == stuck
    assert [report.ended for report in outcome.mapped("report")] == [("success", 1)] * 2
    for job_id, report in zip(stuck, outcome.mapped("report"), strict=True):
        assert report.xcom.startswith(f"{job_id} of a-1@example.com has been executing since")


def test_cancel_stuck_frees_the_slots_of_old_jobs(airflow, sim):
    hours_ago = datetime.now(UTC) - timedelta(hours=3)
    stuck = [sim.start_job("a-1@example.com", started=hours_ago + timedelta(hours=n)) for n in range(2)]
    sim.start_job("a-2@example.com")
    run = airflow.trigger("pixverse_cancel_stuck")

    outcome = airflow.wait_for(run)
    assert [job["id"] for job in outcome.task("list_stuck").xcom] == stuck
    assert [(task.ended, task.xcom) for task in outcome.mapped("cancel")] == [(("success", 1), True)] * 2
    assert sim.free() == 5


def test_prompts_become_videos_and_what_moderation_refuses_is_named(airflow, sim):
    sim.set_fate("an owl", "moderated")
    sim.inject(faults.lost_answer(), method="POST")
    already = sim.submitted_count
    run = airflow.trigger("pixverse_prompts")
    airflow.wait_until(lambda: sim.submitted_count == already + 3, lambda: "three prompts are submitted")
    sim.end_all_jobs()

    outcome = airflow.wait_for(run)
    sim.clear_fates()
    assert [task.state for task in outcome.mapped("make")] == ["success", "failed", "success"]
    fox, owl, cat = outcome.task("report").xcom
    assert fox.startswith("fox: http")
    assert owl == "owl: MODERATED"
    assert cat.startswith("cat: http")
    assert sim.submitted_count == already + 3


def test_a_table_becomes_videos_in_one_task_and_a_manifest_says_why_rows_have_none(
    airflow, sim, table_folder
):
    (table_folder / "prompts.csv").write_text(
        "prompt,first_frame_path,for\na fox,,us\na hare,none.png,us\nan owl,,us\na fox,,them\n"
    )
    sim.set_fate("an owl", "moderated")
    already = sim.submitted_count
    run = airflow.trigger("pixverse_table")
    airflow.wait_until(lambda: sim.submitted_count == already + 2, lambda: "two rows are submitted")
    sim.end_all_jobs()

    outcome = airflow.wait_for(run)
    sim.clear_fates()
    assert outcome.task("make_videos").ended == ("failed", 1)  # so a person looks; a retry would not help
    with (table_folder / "make_videos.csv").open() as file:
        lines = {line["prompt"]: line for line in csv.DictReader(file)}
    [video] = (table_folder / "videos").iterdir()
    assert lines["a fox"]["path"] == f"file://{video}"
    assert {prompt: line["status"] for prompt, line in lines.items()} == {
        "a fox": "stored", "a hare": "refused", "an owl": "moderated"
    }  # fmt: skip
    assert "none.png" in lines["a hare"]["reason"]
    assert sim.submitted_count == already + 2
