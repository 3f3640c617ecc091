"""PixverseSubmitOperator inside Airflow: what is asked for is made, once, whatever happens."""

import dataclasses
import re

import pytest
from airflow.providers.common.compat.sdk import task
from sqlalchemy import text

from airflow_pixverse.api.errors import PixverseFatalError
from airflow_pixverse.capabilities import WORKERS_HAVE_DATABASE
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.marks.stored_marks import StoredMarks
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.sensors.job import PixverseJobSensor
from airflow_pixverse.simulator import faults
from airflow_pixverse.submits.state import SubmitState
from tests.integration.dag_runs import new_dag, run
from tests.integration.submits import (
    PROMPT,
    elsewhere,
    ended_by_hand,
    ending_jobs,
    ending_jobs_once_listed,
    posts,
    prompts,
    submit,
    submitting,
)

LINK_KEYS = ["result_url", "_link_PixverseResultLink"]


@pytest.fixture(autouse=True)
def _minutes_are_short(short_minutes):
    """No test here waits as long as a user would."""


def test_a_prompt_becomes_a_url(sim, mode):
    with ending_jobs(sim):
        outcome = submit(**mode)
    [job] = sim.submitted()
    assert outcome.state("make") == "success"
    result = outcome.xcom("make")
    assert result["id"] == job.id
    assert result["state"] == "COMPLETED"
    assert result["url"].startswith("http")


def test_the_payload_goes_untouched_with_a_reference_and_a_seed(sim, mode):
    payload = {"prompt": "a cat", "model": "v9", "anything": {"new": [1, None, True]}}
    with ending_jobs(sim):
        submit(payload=payload, **mode)
    [job] = sim.submitted()
    sent = dict(job.payload)
    assert sent.pop("replyRef").startswith("airflow:submit/")
    assert 1 <= sent.pop("seed") <= 2_147_483_647
    assert sent == payload


def test_the_log_of_the_worker_says_how_long_the_wait_in_the_triggerer_was(sim, logged):
    with ending_jobs(sim):
        submit(deferrable=True)
    assert re.search(r"There is a slot after \d+ s", logged())


def test_it_waits_for_a_free_slot(sim, mode):
    *_, other = sim.fill()
    with elsewhere(lambda: (sim.wait_for_requests(2), sim.end_job(other))), ending_jobs(sim):
        outcome = submit(**mode)
    assert outcome.state("make") == "success"
    assert len(posts(sim)) == 1  # it was never refused


def test_the_chosen_account_with_most_room_makes_it(sim, mode):
    sim.start_job("a-1@example.com")
    with ending_jobs(sim):
        submit(emails=["a-1@example.com", "A-2@example.com"], **mode)
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


def test_a_refusal_sends_it_back_to_the_queue(sim, mode):
    sim.inject(faults.rate_limit(), times=2, method="POST")
    with ending_jobs(sim):
        outcome = submit(**mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("success", [1])
    assert prompts(sim) == ["a cat"]


def test_too_many_refusals_end_it(sim, mode, logged):
    sim.inject(faults.rate_limit(), times=None, method="POST")
    outcome = submit(max_refusals=1, retries=0, **mode)
    assert outcome.state("make") == "failed"
    assert len(posts(sim)) == 2
    assert "refused 2 times" in logged()


def test_what_is_refused_for_good_fails_without_retry_in_the_words_of_the_service(sim, mode, logged):
    sim.inject(faults.status(422, {"error": "the prompt is not allowed"}), method="POST")
    outcome = submit(**mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [1])
    assert len(posts(sim)) == 1
    assert "the prompt is not allowed" in logged()


def test_the_account_in_trouble_is_named(sim, logged):
    sim.set_pending_error("a-1@example.com", "the password has changed")
    outcome = submit(emails="a-1@example.com", wait_for_capacity=False)
    assert outcome.state("make") == "failed"
    assert "a-1@example.com takes no jobs until it is added again" in logged()


@pytest.mark.parametrize("outcome", ["failed", "moderated"])
def test_a_job_without_a_result_fails_it_without_retry(sim, mode, outcome, logged):
    with ending_jobs(sim, outcome):
        ended = submit(**mode)
    assert (ended.state("make"), ended.tries["make"]) == ("failed", [1])
    assert prompts(sim) == ["a cat"]
    assert "moderation" in logged() if outcome == "moderated" else "failed" in logged()


@pytest.mark.parametrize("fault", [faults.lost_answer(), faults.lost_answer(code=502)], ids=["reset", "502"])
def test_a_job_whose_answer_got_lost_is_adopted(sim, mode, fault):
    sim.inject(fault, times=1, method="POST")
    with ending_jobs_once_listed(sim):
        outcome = submit(**mode)
    [job] = sim.submitted()
    assert (outcome.state("make"), outcome.xcom("make")["id"]) == ("success", job.id)


def test_a_request_that_got_lost_is_sent_again(sim, mode):
    sim.inject(faults.lost_request(), times=1, method="POST")
    with ending_jobs(sim):
        outcome = submit(**mode)
    assert outcome.state("make") == "success"
    assert prompts(sim) == ["a cat"]
    assert len(posts(sim)) == 2


@ended_by_hand
def test_a_retry_goes_on_waiting_for_the_job_of_the_first_try(sim, mode, monkeypatch):
    give_up = PixverseSubmitOperator._what_a_retry_does

    def give_up_and_end_jobs(*args):
        sim.end_all_jobs()
        return give_up(*args)

    monkeypatch.setattr(PixverseSubmitOperator, "_what_a_retry_does", give_up_and_end_jobs)
    outcome = submit(completion_timeout=0.5, **mode)
    assert outcome.state("make") == "success"
    assert outcome.tries["make"] == [2]
    assert prompts(sim) == ["a cat"]
    assert outcome.xcom("make")["id"] == sim.submitted()[0].id


def test_a_retry_after_a_try_that_died_during_the_submit_finds_its_job(sim, mode, dying):
    dying("after")
    with ending_jobs_once_listed(sim):
        outcome = submit(**mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("success", [2])
    assert prompts(sim) == ["a cat"]


def test_a_retry_that_cannot_know_fails_and_says_what_to_look_for(sim, mode, dying, logged):
    dying("before")
    outcome = submit(retries=5, **mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [2])
    assert prompts(sim) == []
    text = logged()
    assert "Nobody can know whether PixVerse accepted" in text
    assert "replyRef airflow:submit/" in text


def test_a_retry_that_cannot_know_may_be_told_to_submit_again(sim, mode, dying):
    dying("before")
    with ending_jobs(sim):
        outcome = submit(on_unknown="resubmit", **mode)
    assert outcome.state("make") == "success"
    assert prompts(sim) == ["a cat"]


def test_a_retry_finds_a_job_that_has_ended_meanwhile(sim, mode, dying):
    dying("after", then=sim.end_all_jobs)
    outcome = submit(**mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("success", [2])
    assert prompts(sim) == ["a cat"]


def test_a_retry_that_cannot_know_of_speech_says_what_to_look_for_too(sim, mode, dying, logged):
    dying("before")
    outcome = submit(endpoint="speech/create", **mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [2])
    assert "Nobody can know whether PixVerse accepted" in logged()


def test_to_be_told_to_submit_again_pays_twice_at_most(sim, mode, monkeypatch, logged):
    """Every answer is lost, and nothing can be looked for."""
    monkeypatch.setattr("airflow_pixverse.submits.look.LONGEST_GAP", 0.1)
    sim.inject(faults.lost_answer(code=502), times=None, method="POST")
    sim.inject(faults.status(502), times=None, method="GET", path="scheduler/")
    sim.inject(faults.status(502), times=None, method="GET", path="accounts")
    outcome = submit(on_unknown="resubmit", wait_for_capacity=False, **mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [1])
    assert prompts(sim) == ["a cat", "a cat"]
    assert "Nobody can know" in logged()


def test_what_gets_lost_again_and_again_ends(sim, mode, logged):
    sim.inject(faults.lost_request(), times=None, method="POST")
    outcome = submit(max_refusals=1, retries=0, **mode)
    assert outcome.state("make") == "failed"
    assert len(posts(sim)) == 2
    assert "not listed for 1 s" in logged()


def test_what_an_unheard_of_status_refuses_is_not_submitted_again_and_again(sim, mode, logged):
    sim.inject(faults.status(413, {"error": "the image is too large"}), times=None, method="POST")
    outcome = submit(**mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [1])
    assert len(posts(sim)) == 1
    assert "the image is too large" in logged()


def test_a_short_job_may_have_ended_during_a_long_silence(sim, mode, monkeypatch, logged):
    """Speech has no seed, by which it could be found when it is not listed any more."""
    monkeypatch.setattr("airflow_pixverse.submits.once.LONGEST_GAP", -1.0)
    sim.inject(faults.lost_request(), times=None, method="POST")
    outcome = submit(endpoint="speech/create", **mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [1])
    assert len(posts(sim)) == 1
    assert "Nobody can know" in logged()


@ended_by_hand
def test_a_connection_that_is_gone_for_a_while_does_not_lose_a_job_that_is_paid_for(
    sim, mode, monkeypatch, logged
):
    give_up, get_conn = PixverseSubmitOperator._what_a_retry_does, PixverseHook.get_conn

    def lose_connection(*args):
        monkeypatch.setattr(PixverseHook, "get_conn", missing)
        return give_up(*args)

    def missing(hook):
        monkeypatch.setattr(PixverseHook, "get_conn", get_conn)
        monkeypatch.setattr(PixverseSubmitOperator, "_what_a_retry_does", give_up)
        sim.end_all_jobs()
        raise PixverseFatalError("connection 'pixverse_default' is not defined")

    monkeypatch.setattr(PixverseSubmitOperator, "_what_a_retry_does", lose_connection)
    outcome = submit(completion_timeout=0.5, retries=2, **mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("success", [3])
    assert prompts(sim) == ["a cat"]


def test_a_pause_does_not_outlast_the_wait(sim, mode):
    """A last look follows."""
    sim.inject(faults.rate_limit(retry_after=3000), times=None, method="POST")
    outcome = submit(capacity_timeout=1, max_refusals=1, retries=0, **mode)
    assert outcome.state("make") == "failed"
    assert len(posts(sim)) == 2


@ended_by_hand
def test_a_wait_that_began_in_the_trigger_and_found_no_slot_does_not_lose_a_job_that_is_paid_for(
    sim, monkeypatch
):
    """The event of the second try is that of a wait which nobody told of the job of the first."""
    execute, give_up = PixverseSubmitOperator.execute, PixverseSubmitOperator._what_a_retry_does

    def begin(operator, context):
        if context["ti"].try_number == 1:
            return execute(operator, context)
        event = {"status": "timeout", "message": "not enough free slots"}
        return operator.execute_complete(context, event)

    def give_up_and_end_jobs(*args):
        sim.end_all_jobs()
        return give_up(*args)

    monkeypatch.setattr(PixverseSubmitOperator, "execute", begin)
    monkeypatch.setattr(PixverseSubmitOperator, "_what_a_retry_does", give_up_and_end_jobs)
    outcome = submit(completion_timeout=0.5)
    assert (outcome.state("make"), outcome.tries["make"]) == ("success", [2])
    assert prompts(sim) == ["a cat"]


def test_what_is_not_durable_submits_again(sim, dying):
    dying("after")
    with ending_jobs(sim, n=2):
        outcome = submit(durable=False)
    assert outcome.state("make") == "success"
    assert prompts(sim) == ["a cat", "a cat"]


@ended_by_hand
def test_mapped_tasks_that_came_to_mean_other_items_adopt_no_other_job(sim, mode, logged):
    """The first try of each ends while its job runs; then the list has another order."""
    kwargs = {"poke_interval": 0.2, "completion_timeout": 0.5, "retries": 1, "retry_delay": 0}
    with new_dag("mapped") as dag:

        @task.pixverse(**kwargs, **mode)
        def make(index, ti):
            order = ["a cat", "a dog"] if ti.try_number == 1 else ["a dog", "a cat"]
            return {"prompt": order[index]}

        make.expand(index=[0, 1])
    outcome = run(dag)
    assert outcome.states["make"] == ["failed", "failed"]
    assert sorted(prompts(sim)) == ["a cat", "a dog"]
    assert "with another payload" in logged()


def test_without_a_lease_it_is_submitted_all_the_same(sim):
    with ending_jobs(sim):
        outcome = submit(lease=0, deferrable=True)
    assert outcome.state("make") == "success"


def test_a_slot_that_was_given_to_others_meanwhile_is_waited_for_again(sim, monkeypatch):
    """The worker takes longer than the slot is kept."""
    parse = SubmitState.of_event
    delays = iter([3600])

    def parse_late(event):
        event["ticket"]["admitted_at"] -= next(delays, 0)
        return parse(event)

    monkeypatch.setattr(SubmitState, "of_event", parse_late)
    with ending_jobs(sim):
        outcome = submit(deferrable=True, wait_for_completion=False)
    assert outcome.state("make") == "success"
    assert len(posts(sim)) == 1
    assert next(delays, None) is None


def test_a_payload_of_any_size_travels_through_the_triggerer(sim):
    with new_dag("decorated") as dag:

        @task.pixverse(deferrable=True, poke_interval=0.2)
        def make():
            return {"prompt": "a cat", "number": 2**80}

        make()
    with ending_jobs(sim):
        outcome = run(dag)
    assert outcome.state("make") == "success"
    assert sim.submitted()[0].payload["number"] == 2**80


def test_the_function_runs_once_a_try_and_its_prompt_is_no_template(sim):
    calls = []
    with new_dag("decorated") as dag:

        @task.pixverse(deferrable=True, poke_interval=0.2)
        def make(animal, ds=None):
            calls.append(ds)
            return {"prompt": f"{{{{ {animal} }}}}"}

        make("cat")
    with ending_jobs(sim):
        assert run(dag).state("make") == "success"
    assert len(calls) == 1
    assert prompts(sim) == ["{{ cat }}"]


def test_a_function_that_fails_is_retried(sim):
    with new_dag("decorated") as dag:

        @task.pixverse(retries=1, retry_delay=0, poke_interval=0.2)
        def make(ti):
            if ti.try_number == 1:
                raise ValueError("the table cannot be read")
            return PROMPT

        make()
    with ending_jobs(sim):
        outcome = run(dag)
    assert (outcome.state("make"), outcome.tries["make"]) == ("success", [2])


@pytest.mark.parametrize("returned", ["a cat", None, {"prompt": object()}])
def test_what_a_function_returns_must_be_a_payload(sim, returned, logged):
    with new_dag("decorated") as dag:

        @task.pixverse(retries=1, retry_delay=0)
        def make():
            return returned

        make()
    outcome = run(dag)
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [1])
    assert "payload must be" in logged()
    assert prompts(sim) == []


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


def test_several_images_are_one_list(sim, mode):
    with ending_jobs(sim, n=3):
        outcome = submit(endpoint="images/create", payload={"prompt": "a cat", "create_count": 3}, **mode)
    assert [image["state"] for image in outcome.xcom("make")] == ["COMPLETED"] * 3


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
def test_images_of_which_one_has_ended_are_all_found_after_a_lost_answer(sim, mode, dying):
    def end_first():
        sim.end_job(sim.submitted()[0].id)

    def end_others():
        sim.wait_for_submitted(3)
        sim.wait_for_requests(sim.request_count + 3)
        sim.end_all_jobs()

    dying("after", then=end_first)
    with elsewhere(end_others):
        outcome = submit(endpoint="images/create", payload={"prompt": "a cat", "create_count": 3}, **mode)
    ids = {image["id"] for image in outcome.xcom("make")}
    assert ids == {job.id for job in sim.submitted()}


def test_an_off_peak_job_is_waited_for_although_it_is_never_listed(sim, mode):
    with ending_jobs(sim):
        outcome = submit(payload=PROMPT | {"off_peak_mode": True}, **mode)
    assert outcome.state("make") == "success"


def test_an_off_peak_job_whose_answer_got_lost_is_not_taken_for_refused(sim, mode, logged):
    """That it is not listed proves nothing, so it is looked for among the results."""
    sim.inject(faults.lost_answer(), method="POST")
    with ending_jobs(sim):
        outcome = submit(payload=PROMPT | {"off_peak_mode": True}, **mode)
    assert outcome.state("make") == "success"
    assert prompts(sim) == ["a cat"]


def test_without_waiting_for_the_result_the_job_sensor_takes_over(sim, mode):
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
    with ending_jobs(sim):
        submit(reply_ref="campaign-7")
    prefix, _, random_part = sim.submitted()[0].payload["replyRef"].rpartition("#")
    assert (prefix, len(random_part)) == ("campaign-7", 16)


def test_without_waiting_for_a_slot_a_refusal_fails_it_with_retries(sim):
    sim.fill()
    outcome = submit(wait_for_capacity=False)
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [2])
    assert len(posts(sim)) == 2


def test_a_wait_for_a_slot_that_takes_too_long_fails_with_retries(sim, mode):
    sim.fill()
    outcome = submit(capacity_timeout=0.5, **mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [2])
    assert posts(sim) == []


def test_a_bad_token_fails_it_without_retry(sim, mode):
    sim.token = "user:2-rotated"
    outcome = submit(**mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [1])


@ended_by_hand
def test_a_job_that_is_paid_for_survives_a_bad_token(sim, mode, monkeypatch):
    """The token is wrong for a while: the retry that follows finds the job."""
    token, give_up = sim.token, PixverseSubmitOperator._what_a_retry_does

    def mend(*args):
        sim.token = token
        sim.end_all_jobs()
        return give_up(*args)

    def rotate():
        sim.wait_for_submitted(1)
        sim.token = "user:2-rotated"

    monkeypatch.setattr(PixverseSubmitOperator, "_what_a_retry_does", mend)
    with elsewhere(rotate):
        outcome = submit(**mode)
    assert (outcome.state("make"), outcome.tries["make"]) == ("success", [2])
    assert prompts(sim) == ["a cat"]


def test_killed_on_a_worker_it_cancels_its_job_only_if_asked(sim):
    for cancels in (False, True):
        job = sim.start_job()
        operator = PixverseSubmitOperator(task_id="make", payload=PROMPT, cancel_on_kill=cancels)
        operator._state = SubmitState(waiting_since=0.0, job_ids=(job,))
        free = sim.free()
        operator.on_kill()
        assert sim.free() == free + cancels


def test_two_tries_that_overlap_submit_once(sim, monkeypatch, logged):
    """While the first try is about to submit, the mark of another one turns up."""
    read_all = StoredMarks.read_all

    def read_with_rival(store):
        marks = read_all(store)
        other = dataclasses.replace(marks[0], try_number=7, reference="r#7") if marks else None
        return [*marks, *([other] if other else [])]

    monkeypatch.setattr(StoredMarks, "read_all", read_with_rival)
    outcome = submit(retries=0)
    assert outcome.state("make") == "failed"
    assert posts(sim) == []
    assert "try 7 of this task has submitted, or is just submitting" in logged()


def test_a_process_that_was_paused_before_its_submit_notes_it_anew(sim, monkeypatch, logged):
    monkeypatch.setattr("airflow_pixverse.submits.once._LONGEST_PAUSE", -1.0)
    outcome = submit(retries=0)
    assert outcome.state("make") == "failed"
    assert posts(sim) == []
    assert "nothing was submitted: it took longer" in logged()


def test_the_page_of_the_task_links_to_the_result(sim, mode):
    with ending_jobs(sim):
        outcome = submit(**mode)
    url = outcome.xcom("make")["url"]
    assert [url in value for value in stored_xcoms("make")] == [True] * (1 if WORKERS_HAVE_DATABASE else 2)


def stored_xcoms(task_id):
    """The XComs of the last run of a task that the UI may read for its links, as they are stored."""
    from airflow.utils.session import create_session

    columns = (
        "select run_id, value from xcom where task_id = :task and key in (:one, :other) order by timestamp"
    )
    one, other = LINK_KEYS
    with create_session() as session:
        rows = session.execute(text(columns), {"task": task_id, "one": one, "other": other}).all()
    return [str(row.value) for row in rows if row.run_id == rows[-1].run_id]
