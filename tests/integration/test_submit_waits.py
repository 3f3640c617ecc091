"""A submit that waits for what it has paid for: what it lives through, and what it goes on with."""

import json

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_pixverse.api.errors import PixverseTransientError
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.simulator import faults
from airflow_pixverse.waits import job_progress
from tests.helpers.dag_runs import new_dag, run
from tests.helpers.submits import (
    PROMPT,
    elsewhere,
    ended_by_hand,
    ending_jobs,
    prompts,
    submit,
    submit_and_end,
    submitting,
)

THREE_IMAGES = {"endpoint": "images/create", "payload": PROMPT | {"create_count": 3}}


@pytest.fixture(autouse=True)
def _listed_jobs_are_polled_soon(monkeypatch):
    """Let a job that the list hides be seen after half a second, not five minutes."""
    monkeypatch.setattr(job_progress, "UNSEEN", 0.5)


def with_unfinished(dag):
    """The outcome of a DAG, and what a task behind it pulls of jobs that are not finished."""
    with dag:

        @task
        def pull(ti):
            return list(ti.xcom_pull(task_ids=["make"], key="unfinished"))

        dag.get_task("make") >> pull()
    outcome = run(dag)
    return outcome, [ids for ids in outcome.xcom("pull") or [] if ids]


@ended_by_hand
@pytest.mark.parametrize(
    "fault",
    [faults.status(401), faults.status(402), faults.status(403), faults.html(404)],
    ids=["401", "402", "403", "web page"],
)
def test_error_that_a_person_can_fix_uses_up_no_retry_of_a_paid_job(sim, mode, fault):
    def break_and_mend():
        sim.wait_for_submitted(1)
        sim.inject(fault, times=None)
        sim.wait_for_requests(sim.request_count + 5)
        sim.end_all_jobs()
        sim.clear_faults()

    with elsewhere(break_and_mend):
        outcome = submit(**mode)
    assert outcome.end("make") == ("success", 1)
    assert prompts(sim) == ["a cat"]


@ended_by_hand
def test_token_that_is_replaced_uses_up_no_retry_while_a_paid_job_is_waited_for(sim, mode, monkeypatch):
    def rotate():
        sim.wait_for_submitted(1)
        sim.token = "user:1-rotated"
        sim.wait_for_requests(sim.request_count + 2)
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))
        sim.end_all_jobs()

    with elsewhere(rotate):
        outcome = submit(**mode)
    assert outcome.end("make") == ("success", 1)
    assert prompts(sim) == ["a cat"]


@ended_by_hand
def test_the_token_of_another_user_is_told_from_a_job_that_is_still_made(
    sim, monkeypatch, logged, when_giving_up
):
    """The first try ends before its job does, and then the connection has another token."""

    def replace_token():
        sim.token = "user:22-other"
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(sim.connection))

    when_giving_up(replace_token)
    assert submit(completion_timeout=0.5).end("make") == ("failed", 2)
    text = logged()
    assert "belongs to user 1 of useapi.net, and the API token to user 22." in text
    assert sim.token not in logged(on_workers=True)


@ended_by_hand
def test_of_several_jobs_one_that_never_ends_does_not_keep_the_others(sim, mode, tmp_path, logged):
    def end_two():
        sim.wait_for_submitted(3)
        first, _, third = sim.submitted()
        sim.end_job(first.id)
        sim.end_job(third.id, "moderated")

    dag = submitting(completion_timeout=3, output_path=tmp_path.as_uri(), **THREE_IMAGES, **mode)
    with elsewhere(end_two):
        outcome, unfinished = with_unfinished(dag)
    one, endless, _ = sim.submitted()
    assert outcome.end("make") == ("success", 1)
    results = outcome.xcom("make")
    assert [result["state"] for result in results] == ["COMPLETED", "GENERATING", "MODERATED"]
    assert [result["id"] for result in results] == [job.id for job in sim.submitted()]
    [stored] = tmp_path.iterdir()
    assert results[0]["path"] == f"file://{stored}"
    assert results[0]["sha256"] == sim.media_sha256(one.id)
    assert unfinished == [[endless.id]]
    assert f"Job {endless.id} has no result (GENERATING), and the task goes on without it" in logged()


def test_finished_jobs_are_not_called_unfinished(sim):
    with ending_jobs(sim, n=3):
        outcome, unfinished = with_unfinished(submitting(**THREE_IMAGES))
    assert outcome.state("make") == "success"
    assert unfinished == []


@ended_by_hand
def test_retry_without_a_completed_job_goes_on_waiting_for_the_others(sim, mode, when_giving_up):
    """That one of them has failed is no end for the others."""

    def end_one():
        sim.wait_for_submitted(3)
        sim.end_job(sim.submitted()[0].id, "failed")

    when_giving_up(sim.end_all_jobs)
    with elsewhere(end_one):
        outcome = submit(completion_timeout=2, **THREE_IMAGES, **mode)
    assert outcome.end("make") == ("success", 2)
    assert [result["state"] for result in outcome.xcom("make")] == ["FAILED", "COMPLETED", "COMPLETED"]
    assert len(sim.submitted()) == 3


@ended_by_hand
def test_job_in_an_unknown_final_state_does_not_keep_the_others(sim):
    def end_all():
        sim.wait_for_submitted(3)
        first, *_ = sim.submitted()
        sim.respond_with(first.id, {"image_id": first.id, "image_status_name": "DELETED"})
        sim.end_all_jobs()

    with elsewhere(end_all):
        outcome, unfinished = with_unfinished(submitting(**THREE_IMAGES))
    assert [result["state"] for result in outcome.xcom("make")] == ["DELETED", "COMPLETED", "COMPLETED"]
    assert unfinished == [[sim.submitted()[0].id]]


def test_a_job_that_was_deleted_may_be_waited_for_again(sim, logged):
    def delete():
        sim.wait_for_submitted(1)
        [job] = sim.submitted()
        sim.respond_with(job.id, {"video_id": job.id, "video_status_name": "DELETED"})
        sim.end_all_jobs()

    with elsewhere(delete):
        outcome = submit()
    assert outcome.end("make") == ("failed", 2)
    assert prompts(sim) == ["a cat"]
    assert "has ended in a state that is not known here" in logged()


@pytest.mark.parametrize("trouble", [faults.status(503), faults.status(401)], ids=["503", "401"])
def test_worker_that_does_not_get_the_result_any_more_waits_again(sim, trouble, monkeypatch):
    """The triggerer has seen it."""
    asked = []
    ask = PixverseHook.get_result

    def ask_in_trouble(hook, *args):
        if not asked:
            sim.inject(trouble, times=4, method="GET")
        asked.append(args)
        return ask(hook, *args)

    monkeypatch.setattr(PixverseHook, "get_result", ask_in_trouble)
    outcome = submit_and_end(sim, deferrable=True)
    assert outcome.end("make") == ("success", 1)
    assert len(asked) >= 2
    assert prompts(sim) == ["a cat"]


def test_worker_that_never_gets_the_result_fails_at_completion_timeout(sim, monkeypatch, logged):
    def fail(hook, *args):
        raise PixverseTransientError("down for lunch")

    monkeypatch.setattr(PixverseHook, "get_result", fail)
    outcome = submit_and_end(sim, deferrable=True, completion_timeout=2, retries=0)
    assert outcome.state("make") == "failed"
    assert "no result within completion_timeout: down for lunch. A retry goes on waiting" in logged()


@pytest.mark.parametrize("how", ["operator", "decorator"])
def test_log_of_a_submit_has_no_signature_of_a_url(sim, mode, how, logged, tmp_path):
    sim.link_seconds = 3600
    kwargs = {"output_path": tmp_path.as_uri(), "poke_interval": 0.2, **mode}
    if how == "operator":
        dag = submitting(**kwargs)
    else:
        with new_dag("decorated") as dag:

            @task.pixverse(**kwargs)
            def make():
                return PROMPT

            make()
    with ending_jobs(sim):
        outcome = run(dag)
    [_, signature] = outcome.xcom("make")["url"].split("signature=")
    assert signature not in logged(on_workers=True)
