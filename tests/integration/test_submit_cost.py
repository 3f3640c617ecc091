"""Cost of a job, in XCom and log, and the metrics of jobs."""

from collections import Counter

import pytest
from airflow.providers.common.compat.sdk import Stats, task

from airflow_pixverse.reports import cost as submission_cost
from airflow_pixverse.simulator import faults
from airflow_pixverse.submission import acceptance, flow
from airflow_pixverse.submission.delivery import Delivery
from tests.helpers.dag_runs import run
from tests.helpers.submits import (
    PROMPT,
    ended_by_hand,
    ending_jobs,
    ending_jobs_once_listed,
    posts,
    submit,
    submit_and_end,
    submitting,
)

ONE = pytest.mark.pixverse_simulator(accounts={"studio@example.com": 3})
STUDIO = "studio@example.com"
IMAGES = {"endpoint": "images/create", "payload": PROMPT | {"create_count": 3}}


def told(**kwargs):
    """Return the XComs that a later task pulls of one that submits and reports credits; its state, too."""
    with submitting(**{"report_credits": True} | kwargs) as dag:

        @task(trigger_rule="all_done")
        def pull(ti):
            pulled = {key: ti.xcom_pull(task_ids="make", key=key) for key in ("cost", "result")}
            return pulled | {"returned": ti.xcom_pull(task_ids="make")}

        dag.get_task("make") >> pull()
    outcome = run(dag)
    return outcome.xcom("pull") | {"state": outcome.state("make")}


def cost(credits_, before, after, email=STUDIO):
    """The XCom ``cost``."""
    return {"cost_credits": credits_, "credits_before": before, "credits_after": after, "email": email}


def features_read(sim):
    return [one for one in sim.requests if one.path.rstrip("/").endswith("/features")]


@pytest.fixture
def counted(monkeypatch):
    """The counters that Airflow's stats got, with the type of the job."""
    counters = Counter()

    def incr(name, count=1, *args, tags=None, **kwargs):
        if name.startswith("pixverse.jobs."):
            [(key, kind)] = tags.items()
            assert key == "type"
            counters[name.removeprefix("pixverse.jobs."), kind] += count

    monkeypatch.setattr(Stats, "incr", incr)
    return counters


# Cost


@ONE
def test_a_job_says_what_it_cost_and_what_its_account_has_left(sim, mode, logged):
    sim.set_credits(STUDIO, 100)
    with ending_jobs(sim):
        after = told(**mode)
    assert after["cost"] == cost(20, 100, 80)
    for result in (after["returned"], after["result"]):
        assert result | cost(20, 100, 80) == result
    [job] = sim.submitted()
    line = f"Job {job.id} cost 20 credits; account {STUDIO} had 100 before and has 80 now"
    assert line in logged()


@ONE
@pytest.mark.parametrize("outcome", ["failed", "moderated"])
def test_a_job_without_a_result_says_what_it_cost(sim, outcome, logged):
    sim.set_credits(STUDIO, 100)
    with ending_jobs(sim, outcome):
        after = told()
    assert after["state"] == "failed"
    assert after["cost"] == cost(20, 100, 80)
    assert after["result"]["credits_after"] == 80
    assert f"cost 20 credits; account {STUDIO} had 100 before and has 80 now" in logged()


def test_of_several_accounts_the_chosen_one_counts(sim):
    sim.set_credits("a-2@example.com", 50)
    with ending_jobs(sim):
        after = told(emails="a-2@example.com")
    assert after["cost"] == cost(20, 50, 30, email="a-2@example.com")


def test_where_the_service_chooses_the_account_only_what_it_has_afterwards_is_known(sim):
    for email in ("a-1@example.com", "a-2@example.com"):
        sim.set_credits(email, 50)
    with ending_jobs(sim):
        after = told()
    [job] = sim.submitted()
    assert after["cost"] == cost(20, None, 30, email=job.email)


@ONE
def test_what_the_service_does_not_say_is_null(sim):
    with ending_jobs(sim):
        after = told()
    assert after["cost"]["cost_credits"] is None
    assert after["returned"]["cost_credits"] is None
    assert after["cost"]["credits_before"] == after["cost"]["credits_after"] > 0


@ONE
def test_credits_that_cannot_be_read_are_null_and_asked_for_once(sim, logged):
    sim.set_credits(STUDIO, 100)
    sim.inject(faults.status(503, {"error": "PixVerse is away"}), times=None, path="features/")
    with ending_jobs(sim):
        after = told()
    assert after["state"] == "success"
    assert after["cost"] == cost(20, None, None)
    assert len(features_read(sim)) == 2
    assert f"The credits of {STUDIO} are not known" in logged()


@ONE
def test_credits_are_not_asked_for_unless_they_are_to_be_reported(sim, mode):
    sim.set_credits(STUDIO, 100)
    submit_and_end(sim, **mode)
    assert features_read(sim) == []
    assert [one for one in sim.requests if one.path.endswith("/accounts")] == []


@ONE
def test_the_triggerer_asks_and_not_the_worker(sim, mode, monkeypatch):
    sim.set_credits(STUDIO, 100)
    by_workers = []

    def read(*_):
        by_workers.append("asked")

    monkeypatch.setattr(acceptance, "read_credits", read)
    monkeypatch.setattr(submission_cost, "read_credits", read)
    with ending_jobs(sim):
        after = told(**mode)
    if mode["deferrable"]:
        assert (by_workers, after["cost"]) == ([], cost(20, 100, 80))
    else:
        assert (by_workers, features_read(sim)) == (["asked", "asked"], [])


@ONE
def test_a_worker_asks_where_the_triggerer_is_of_an_earlier_version(sim, monkeypatch):
    sim.set_credits(STUDIO, 100)
    monkeypatch.setattr(flow, "EVENT_CREDITS", "unheard of")
    with ending_jobs(sim):
        assert told(deferrable=True)["cost"] == cost(20, 100, 80)


@ONE
def test_min_credits_ask_right_before_the_submit_whatever_the_triggerer_knows(sim):
    """Its figure may be a minute old, and below the floor nothing is to be submitted."""
    sim.set_credits(STUDIO, 100)
    with ending_jobs(sim):
        told(deferrable=True, min_credits=10)
    paths = [(one.method, one.path.rstrip("/").rpartition("/")[2]) for one in sim.requests]
    assert paths[paths.index(("POST", "create")) - 1] == ("GET", "features")


@ONE
@ended_by_hand
def test_a_retry_knows_what_the_job_of_the_first_try_cost(sim, mode, when_giving_up):
    sim.set_credits(STUDIO, 100)
    when_giving_up(sim.end_all_jobs)
    after = told(completion_timeout=0.5, **mode)
    assert len(posts(sim)) == 1
    assert after["cost"] == cost(20, 100, 80)


@ONE
def test_what_a_job_cost_whose_answer_died_with_the_worker_is_not_known_but_what_was_before_is(sim, dying):
    sim.set_credits(STUDIO, 100)
    dying("after", then=sim.end_all_jobs)
    after = told()
    assert after["cost"] == cost(None, 100, 80)


@ONE
def test_submit_without_a_wait_for_the_result_reports_the_cost_known_then(sim, mode, logged):
    sim.set_credits(STUDIO, 100)
    after = told(wait_for_completion=False, **mode)
    assert after["returned"]["cost_credits"] == 20
    assert after["cost"] == cost(20, 100, None)
    assert f"cost 20 credits; account {STUDIO} had 100 before" in logged()


@ONE
def test_several_images_have_one_cost_which_is_in_none_of_them(sim):
    sim.set_credits(STUDIO, 100)
    with ending_jobs(sim, n=3):
        after = told(**IMAGES)
    assert after["cost"] == cost(60, 100, 40)
    assert all("cost_credits" not in image for image in after["returned"])


@ONE
def test_submit_follows_at_once_on_the_look_at_credits(sim):
    """The credits of an account are asked for before, so the submit follows on that."""
    submit_and_end(sim, report_credits=True)
    calls = [(one.method, one.path.rstrip("/").rpartition("/")[2]) for one in sim.requests]
    before = calls.index(("GET", "features"))
    assert calls[before - 1 : before + 2] == [("GET", "accounts"), ("GET", "features"), ("POST", "create")]


# Metrics


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [("videos/create", "video"), ("images/create", "image"), ("music/create", "music"),
     ("speech/create", "speech")],
)  # fmt: skip
def test_a_job_is_counted_by_its_type(sim, endpoint, kind, counted):
    submit_and_end(sim, endpoint=endpoint, deferrable=True)
    assert counted == {("submitted", kind): 1, ("completed", kind): 1}


@pytest.mark.parametrize("outcome", ["failed", "moderated"])
def test_a_job_without_a_result_is_counted_as_what_it_is(sim, outcome, counted):
    submit_and_end(sim, outcome)
    assert counted == {("submitted", "video"): 1, (outcome, "video"): 1}


def test_each_of_several_images_is_counted(sim, counted):
    submit_and_end(sim, n=3, **IMAGES)
    assert counted == {("submitted", "image"): 3, ("completed", "image"): 3}


def test_each_refusal_is_counted(sim, mode, counted):
    sim.inject(faults.rate_limit(), times=2, method="POST")
    submit_and_end(sim, **mode)
    assert counted == {("refused", "video"): 2, ("submitted", "video"): 1, ("completed", "video"): 1}


def test_what_is_refused_for_good_is_no_job_that_is_counted(sim, counted):
    sim.inject(faults.status(422), method="POST")
    submit()
    assert counted == {}


@ended_by_hand
def test_a_retry_that_goes_on_waiting_counts_no_other_submit(sim, mode, when_giving_up, counted):
    when_giving_up(sim.end_all_jobs)
    assert submit(completion_timeout=0.5, **mode).tries["make"] == [2]
    assert counted == {("submitted", "video"): 1, ("completed", "video"): 1}


def test_a_job_that_a_retry_finds_is_counted_once(sim, dying, counted):
    dying("after")
    with ending_jobs_once_listed(sim):
        submit()
    assert counted == {("submitted", "video"): 1, ("completed", "video"): 1}


def test_a_try_that_does_not_come_to_its_end_counts_no_result(sim, monkeypatch, counted):
    """Its result cannot be handed over; the retry has it."""
    report = Delivery.report_cost

    def fail(*args, **kwargs):
        monkeypatch.setattr(Delivery, "report_cost", report)
        raise RuntimeError("the database is away")

    monkeypatch.setattr(Delivery, "report_cost", fail)
    assert submit_and_end(sim).tries["make"] == [2]
    assert counted == {("submitted", "video"): 1, ("completed", "video"): 1}


def test_what_nobody_can_know_is_counted_by_the_try_that_sent_it(sim, counted):
    sim.inject(faults.lost_request(), times=None, method="POST")
    submit(endpoint="speech/create")
    assert counted == {("unknown", "speech"): 1}


def test_what_nobody_can_know_is_counted_by_the_try_that_comes_after(sim, dying, counted):
    dying("before")
    submit()
    assert counted == {("unknown", "video"): 1}
