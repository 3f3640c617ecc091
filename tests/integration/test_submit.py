"""PixverseSubmitOperator inside Airflow: what is asked for is made, once, whatever happens."""

import dataclasses
import re

import pytest

from airflow_pixverse.api.errors import PixverseFatalError
from airflow_pixverse.capabilities import WORKERS_HAVE_DATABASE
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.journal.journal import SubmitJournal
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.sensors.job import PixverseJobSensor
from airflow_pixverse.simulator import faults
from airflow_pixverse.submission import once
from tests.helpers.dag_runs import new_dag, run
from tests.helpers.submits import (
    PROMPT,
    elsewhere,
    ended_by_hand,
    ending_jobs,
    ending_jobs_once_listed,
    posts,
    prompts,
    submit,
    submit_and_end,
    submitting,
)
from tools.real_airflow.metadata import Metadata

LINK_KEYS = ["result_url", "_link_PixverseResultLink"]


def test_a_prompt_becomes_a_url(sim, mode):
    outcome = submit_and_end(sim, **mode)
    [job] = sim.submitted()
    assert outcome.state("make") == "success"
    result = outcome.xcom("make")
    assert result["id"] == job.id
    assert result["state"] == "COMPLETED"
    assert result["url"].startswith("http")


def test_the_payload_goes_untouched_with_a_reference_and_a_seed(sim, mode):
    payload = {"prompt": "a cat", "model": "v9", "anything": {"new": [1, None, True]}}
    submit_and_end(sim, payload=payload, **mode)
    [job] = sim.submitted()
    sent = dict(job.payload)
    assert sent.pop("replyRef").startswith("airflow:submit/")
    assert 1 <= sent.pop("seed") <= 2_147_483_647
    assert sent.pop("email", None) == (job.email if mode["deferrable"] else None), "that of the leased slot"
    assert sent == payload


def test_the_log_of_the_worker_says_how_long_the_wait_in_the_triggerer_was(sim, logged):
    submit_and_end(sim, deferrable=True)
    assert re.search(r"Got a slot after \d+ s", logged())


def test_submit_waits_for_a_free_slot(sim, mode):
    *_, other = sim.fill()
    with elsewhere(lambda: (sim.wait_for_requests(2), sim.end_job(other))), ending_jobs(sim):
        outcome = submit(**mode)
    assert outcome.state("make") == "success"
    assert len(posts(sim)) == 1  # it was never refused


def test_the_chosen_account_with_most_room_makes_it(sim, mode):
    sim.start_job("a-1@example.com")
    submit_and_end(sim, emails=["a-1@example.com", "A-2@example.com"], **mode)
    [job] = sim.submitted()
    assert job.email == "a-2@example.com"
    assert job.payload["email"] == "a-2@example.com"


def test_the_account_in_the_payload_is_the_one_that_is_waited_for(sim, mode):
    taken = [sim.start_job("a-1@example.com") for _ in range(3)]
    wanted = {"prompt": "a cat", "email": "a-1@example.com"}
    with elsewhere(lambda: (sim.wait_for_requests(2), sim.end_job(taken[0]))), ending_jobs(sim):
        submit(payload=wanted, **mode)
    assert [job.email for job in sim.submitted()] == ["a-1@example.com"]
    assert len(posts(sim)) == 1


def test_refused_submit_goes_back_to_the_queue(sim, mode):
    sim.inject(faults.rate_limit(), times=2, method="POST")
    outcome = submit_and_end(sim, **mode)
    assert outcome.end("make") == ("success", 1)
    assert prompts(sim) == ["a cat"]


def test_submit_that_is_refused_too_often_fails(sim, mode, logged):
    sim.inject(faults.rate_limit(), times=None, method="POST")
    assert submit(max_refusals=1, retries=0, **mode).state("make") == "failed"
    assert len(posts(sim)) == 2
    assert "refused 2 times" in logged()


@pytest.mark.parametrize("code", [422, 413], ids=["known", "unheard of"])
def test_what_is_refused_for_good_fails_without_retry_in_the_words_of_the_service(sim, code, logged):
    sim.inject(faults.status(code, {"error": "the prompt is not allowed"}), times=None, method="POST")
    assert submit().end("make") == ("failed", 1)
    assert len(posts(sim)) == 1
    assert "the prompt is not allowed" in logged()


def test_the_account_in_trouble_is_named(sim, logged):
    sim.set_pending_error("a-1@example.com", "the password has changed")
    assert submit(emails="a-1@example.com", wait_for_capacity=False).state("make") == "failed"
    assert "a-1@example.com takes no jobs until it is added again" in logged()


@pytest.mark.parametrize("outcome", ["failed", "moderated"])
def test_a_job_without_a_result_fails_it_without_retry(sim, mode, outcome, logged):
    ended = submit_and_end(sim, outcome, **mode)
    assert ended.end("make") == ("failed", 1)
    assert prompts(sim) == ["a cat"]
    assert "moderation" in logged() if outcome == "moderated" else "failed" in logged()


@pytest.mark.parametrize("fault", [faults.lost_answer(), faults.lost_answer(code=502)], ids=["reset", "502"])
def test_a_job_whose_answer_got_lost_is_adopted(sim, fault):
    sim.inject(fault, times=1, method="POST")
    with ending_jobs_once_listed(sim):
        outcome = submit()
    [job] = sim.submitted()
    assert (outcome.state("make"), outcome.xcom("make")["id"]) == ("success", job.id)


def test_a_request_that_got_lost_is_sent_again(sim, mode):
    sim.inject(faults.lost_request(), times=1, method="POST")
    outcome = submit_and_end(sim, **mode)
    assert outcome.state("make") == "success"
    assert prompts(sim) == ["a cat"]
    assert len(posts(sim)) == 2


@ended_by_hand
def test_a_retry_goes_on_waiting_for_the_job_of_the_first_try(sim, mode, when_giving_up, logged):
    when_giving_up(sim.end_all_jobs)
    outcome = submit(completion_timeout=0.5, **mode)
    assert outcome.end("make") == ("success", 2)
    assert "completion_timeout" in logged()
    assert prompts(sim) == ["a cat"]
    assert outcome.xcom("make")["id"] == sim.submitted()[0].id


def test_a_retry_after_a_try_that_died_during_the_submit_finds_its_job(sim, dying):
    dying("after")
    with ending_jobs_once_listed(sim):
        outcome = submit()
    assert outcome.end("make") == ("success", 2)
    assert prompts(sim) == ["a cat"]


@pytest.mark.parametrize("endpoint", ["videos/create", "speech/create"])
def test_a_retry_that_cannot_know_fails_and_says_what_to_look_for(sim, endpoint, dying, logged):
    dying("before")
    assert submit(endpoint=endpoint, retries=5).end("make") == ("failed", 2)
    assert prompts(sim) == []
    text = logged()
    assert "It cannot be known whether PixVerse accepted" in text
    assert "replyRef airflow:submit/" in text


def test_a_retry_that_cannot_know_may_be_told_to_submit_again(sim, dying):
    dying("before")
    outcome = submit_and_end(sim, on_unknown="resubmit")
    assert outcome.state("make") == "success"
    assert prompts(sim) == ["a cat"]


def test_a_retry_finds_a_job_that_has_ended_meanwhile(sim, dying):
    dying("after", then=sim.end_all_jobs)
    assert submit().end("make") == ("success", 2)
    assert prompts(sim) == ["a cat"]


@ended_by_hand
def test_a_connection_that_is_gone_for_a_while_does_not_lose_a_job_that_is_paid_for(
    sim, mode, monkeypatch, when_giving_up
):
    get_conn = PixverseHook.get_conn

    def lose_connection():
        monkeypatch.setattr(PixverseHook, "get_conn", missing)

    def missing(hook):
        monkeypatch.setattr(PixverseHook, "get_conn", get_conn)
        when_giving_up(lambda: None)
        sim.end_all_jobs()
        raise PixverseFatalError("connection 'pixverse_default' is not defined")

    when_giving_up(lose_connection)
    assert submit(completion_timeout=0.5, retries=2, **mode).end("make") == ("success", 3)
    assert prompts(sim) == ["a cat"]


def test_refused_submit_pauses_no_longer_than_its_timeout(sim, mode):
    """A last look follows."""
    sim.inject(faults.rate_limit(retry_after=3000), times=None, method="POST")
    assert submit(capacity_timeout=1, max_refusals=1, retries=0, **mode).state("make") == "failed"
    assert len(posts(sim)) == 2


@ended_by_hand
def test_a_wait_that_began_in_the_trigger_and_found_no_slot_does_not_lose_a_job_that_is_paid_for(
    sim, monkeypatch, when_giving_up
):
    """The event of the second try is that of a wait which nobody told of the job of the first."""
    execute = PixverseSubmitOperator.execute

    def begin(operator, context):
        if context["ti"].try_number == 1:
            return execute(operator, context)
        event = {"status": "timeout", "message": "not enough free slots"}
        return operator.execute_complete(context, event)

    monkeypatch.setattr(PixverseSubmitOperator, "execute", begin)
    when_giving_up(sim.end_all_jobs)
    assert submit(completion_timeout=0.5).end("make") == ("success", 2)
    assert prompts(sim) == ["a cat"]


def test_retry_of_a_task_that_is_not_durable_submits_again(sim, dying):
    dying("after")
    outcome = submit_and_end(sim, n=2, durable=False)
    assert outcome.state("make") == "success"
    assert prompts(sim) == ["a cat", "a cat"]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"endpoint": "scheduler/"}, "endpoint must be"),
        ({"payload": "a cat"}, "payload must be"),
        ({"emails": []}, "emails is empty"),
        ({"reply_ref": ""}, "reply_ref must be"),
        ({"on_unknown": "retry"}, "on_unknown must be one of 'fail', 'resubmit'"),
        ({"max_refusals": -1}, "max_refusals must be"),
        ({"poke_interval": "soon"}, "poke_interval must be"),
        ({"completion_timeout": -1}, "completion_timeout must be"),
        ({"pixverse_conn_id": ""}, "pixverse_conn_id must be"),
        ({"wait_for_capacity": "no"}, "wait_for_capacity must be True or False, not 'no'"),
        ({"wait_for_completion": None}, "wait_for_completion must be True or False"),
        ({"deferrable": "False"}, "deferrable must be True or False"),
        ({"start_from_trigger": 0}, "start_from_trigger must be True or False"),
        ({"durable": None}, "durable must be True or False"),
        ({"cancel_on_kill": "false"}, "cancel_on_kill must be True or False"),
        ({"report_credits": "no"}, "report_credits must be True or False"),
    ],
    ids=str,
)
def test_a_bad_parameter_is_named_when_the_dag_is_parsed(kwargs, message):
    with pytest.raises(ValueError, match=message):
        submitting(**kwargs)


@ended_by_hand
def test_one_of_several_images_is_enough(sim, mode, logged):
    def end():
        sim.wait_for_submitted(3)
        first, second, third = sim.submitted()
        sim.end_job(first.id, "moderated", "a dragon")
        sim.end_job(second.id)
        sim.end_job(third.id, "failed")

    with elsewhere(end):
        outcome = submit(endpoint="images/create", payload={"prompt": "a cat", "create_count": 3}, **mode)
    assert [image["state"] for image in outcome.xcom("make")] == ["MODERATED", "COMPLETED", "FAILED"]
    assert "a dragon" in logged()


@ended_by_hand
def test_images_of_which_one_has_ended_are_all_found_after_a_lost_answer(sim, dying):
    def end_first():
        sim.end_job(sim.submitted()[0].id)

    def end_others():
        sim.wait_for_submitted(3)
        sim.wait_for_requests(sim.request_count + 3)
        sim.end_all_jobs()

    dying("after", then=end_first)
    with elsewhere(end_others):
        outcome = submit(endpoint="images/create", payload={"prompt": "a cat", "create_count": 3})
    ids = {image["id"] for image in outcome.xcom("make")}
    assert ids == {job.id for job in sim.submitted()}


def test_an_off_peak_job_is_waited_for_although_it_is_never_listed(sim, mode):
    outcome = submit_and_end(sim, payload=PROMPT | {"off_peak_mode": True}, **mode)
    assert outcome.state("make") == "success"


def test_an_off_peak_job_whose_answer_got_lost_is_not_taken_for_refused(sim, logged):
    """That it is not listed proves nothing, so it is looked for among the results."""
    sim.inject(faults.lost_answer(), method="POST")
    outcome = submit_and_end(sim, payload=PROMPT | {"off_peak_mode": True})
    assert outcome.state("make") == "success"
    assert prompts(sim) == ["a cat"]


def test_submit_without_a_wait_for_the_result_leaves_that_to_the_job_sensor(sim, mode):
    with new_dag("submit") as dag:
        make = PixverseSubmitOperator(
            task_id="make", payload=PROMPT, wait_for_completion=False, poke_interval=0.2, **mode
        )
        PixverseJobSensor(task_id="wait", job_id=make.output, poke_interval=0.2)
    with ending_jobs(sim):
        outcome = run(dag)
    [job] = sim.submitted()
    assert outcome.xcom("make")["job_ids"] == [job.id]
    assert outcome.xcom("make")["replyRef"] == job.payload["replyRef"]
    assert outcome.xcom("wait")["id"] == job.id


def test_a_prefix_of_the_user_is_kept(sim):
    submit_and_end(sim, reply_ref="campaign-7")
    prefix, _, random_part = sim.submitted()[0].payload["replyRef"].rpartition("#")
    assert (prefix, len(random_part)) == ("campaign-7", 16)


def test_submit_without_a_wait_for_a_slot_is_retried_after_a_refusal(sim):
    sim.fill()
    assert submit(wait_for_capacity=False).end("make") == ("failed", 2)
    assert len(posts(sim)) == 2


def test_a_wait_for_a_slot_that_takes_too_long_fails_with_retries(sim, mode, logged):
    sim.fill()
    assert submit(capacity_timeout=0.5, **mode).end("make") == ("failed", 2)
    assert posts(sim) == []
    assert "capacity_timeout" in logged()


def test_a_bad_token_fails_a_wait_for_a_slot_with_retries(sim, mode):
    sim.token = "user:2-rotated"
    assert submit(**mode).end("make") == ("failed", 2)
    assert posts(sim) == []


def test_a_bad_token_fails_a_submit_without_retry(sim):
    sim.token = "user:2-rotated"
    assert submit(wait_for_capacity=False).end("make") == ("failed", 1)


def test_tries_that_overlap_do_not_submit_twice(sim, monkeypatch, logged):
    """While the first try is about to submit, the mark of another one turns up."""
    read_all = SubmitJournal.read_all

    def read_with_rival(store):
        marks = read_all(store)
        other = dataclasses.replace(marks[0], try_number=7, reference="r#7") if marks else None
        return [*marks, *([other] if other else [])]

    monkeypatch.setattr(SubmitJournal, "read_all", read_with_rival)
    assert submit(retries=0).state("make") == "failed"
    assert posts(sim) == []
    assert "try 7 of this task has submitted, or is just submitting" in logged()


def test_process_that_was_paused_before_its_submit_submits_nothing(sim, monkeypatch, logged):
    monkeypatch.setattr(once, "_LONGEST_WRITE", -1.0)
    assert submit(retries=0).state("make") == "failed"
    assert posts(sim) == []
    assert "nothing was submitted: writing the journal took longer" in logged()


def test_the_page_of_the_task_links_to_the_result(sim):
    outcome = submit_and_end(sim)
    url = outcome.xcom("make")["url"]
    assert [url in value for value in stored_xcoms("make")] == [True] * (1 if WORKERS_HAVE_DATABASE else 2)


def stored_xcoms(task_id):
    """The XComs of the last run of a task that the UI may read for its links, as they are stored."""
    from airflow import settings

    one, other = LINK_KEYS
    rows = Metadata(str(settings.engine.url)).query(
        "select run_id, value from live_xcom"
        " where task_id = :task and key in (:one, :other) order by timestamp",
        task=task_id,
        one=one,
        other=other,
    )
    return [str(row["value"]) for row in rows if row["run_id"] == rows[-1]["run_id"]]
