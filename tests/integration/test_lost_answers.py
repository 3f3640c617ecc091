"""A submit whose answer is lost, inside Airflow: what cannot be known is not submitted again."""

import time

import pytest

from airflow_pixverse.simulator import faults
from tests.helpers.submits import PROMPT, ended_by_hand, ending_jobs_once_listed, posts, submit

AVAILABLE = "scheduler/available"
# Jobs that no look at what executes ever sees.
over_at_once = pytest.mark.pixverse_simulator(job_seconds=(0, 0))
# As its page of 2026-03-09: neither list has music.
without_music = pytest.mark.pixverse_simulator(schema="2026-03-09")
UPSCALE = {"endpoint": "videos/upscale"}  # which takes no seed
OWN_SEED = {"payload": PROMPT | {"seed": 42}}


@pytest.fixture
def lose(sim):
    """A function that loses the answers to submits."""

    def lose(fault=None, times=None):
        sim.inject(fault or faults.lost_answer(), times=times, method="POST")

    return lose


def assert_found(outcome, sim):
    """The only job that is paid for has been taken up."""
    [job] = sim.submitted()
    assert outcome.states["make"] == ["success"]
    assert outcome.xcom("make")["id"] == job.id


def assert_unknown(outcome, logged, *words, tries=1):
    """The task has failed for good, and says what to look for."""
    assert outcome.end("make") == ("failed", tries)
    text = logged()
    for word in ("It cannot be known whether PixVerse accepted", *words):
        assert word in text


# Kinds of jobs that are not known to be listed


@pytest.mark.parametrize("kind", ["music", "speech"])
@without_music
def test_what_is_not_known_to_be_listed_is_not_submitted_again(sim, kind, lose, logged):
    lose()
    outcome = submit(endpoint=f"{kind}/create")
    assert_unknown(outcome, logged, f"{kind} is not known to be listed while it is made")
    assert len(sim.submitted()) == 1


@pytest.mark.parametrize("kind", ["music", "speech"])
def test_lost_request_of_a_kind_that_is_not_listed_is_not_submitted_again(sim, kind, lose, logged):
    lose(faults.lost_request())
    assert_unknown(submit(endpoint=f"{kind}/create"), logged, f"{kind} is not known to be listed")
    assert len(posts(sim)) == 1


@ended_by_hand
def test_music_is_found_where_it_is_listed(sim, lose):
    """Of the two lists of what executes, only the one of "scheduler/available" has music."""
    lose(times=1)
    with ending_jobs_once_listed(sim):
        assert_found(submit(endpoint="music/create"), sim)


# Answers that say success


@pytest.mark.parametrize("body", [{"ticket": 7}, {}, "", "done"], ids=repr)
def test_an_answer_that_says_success_without_an_id_is_not_submitted_again(sim, lose, logged, body):
    lose(faults.lost_request(code=200, body=body))
    assert_unknown(submit(), logged, "its answer says success")
    assert len(posts(sim)) == 1


def test_an_answer_that_says_success_and_breaks_off_is_not_submitted_again(sim, lose, logged):
    """The job itself is nowhere to be seen."""
    sim.respond_with("videos/create", {"video_id": "user:1-pixverse:a-1@example.com-video:1"})
    lose(faults.truncated())
    assert_unknown(submit(), logged, "its answer says success")
    assert len(posts(sim)) == 1


@over_at_once
def test_a_job_is_found_whatever_its_answer_said(sim, lose):
    lose(faults.lost_answer(code=201, body={"ticket": 7}))
    assert_found(submit(), sim)


# Entries that tell too little


@pytest.mark.parametrize("how", ["missing", "empty", "cut"])
def test_a_job_that_is_listed_without_its_reference_is_not_submitted_again(sim, lose, logged, how):
    lose()
    for path in (AVAILABLE, "scheduler/"):
        sim.inject(faults.garbled("replyRef", how), times=None, path=path, method="GET")
    outcome = submit(**UPSCALE)
    [job] = sim.submitted()
    assert_unknown(outcome, logged, f"it may be {job.id}")


@ended_by_hand
def test_a_reference_in_another_case_is_that_of_the_job(sim, lose):
    lose()
    for path in (AVAILABLE, "scheduler/"):
        sim.inject(faults.garbled("replyRef", "upper"), times=None, path=path, method="GET")
    with ending_jobs_once_listed(sim):
        assert_found(submit(**UPSCALE), sim)


@over_at_once
@pytest.mark.pixverse_simulator(results_with_reply_ref=True)
@pytest.mark.parametrize("how", ["missing", "empty", "cut"])
def test_a_result_without_its_reference_is_known_by_its_random_seed(sim, lose, how):
    sim.inject(faults.garbled("replyRef", how), times=None, path="videos/", method="GET")
    lose()
    assert_found(submit(), sim)


# Jobs that no look at what executes has seen


@over_at_once
@pytest.mark.parametrize("path", ["accounts", "videos/"])
def test_results_that_cannot_be_seen_for_a_moment_are_asked_for_again(sim, lose, path):
    sim.inject(faults.status(503), times=1, path=path, method="GET")
    lose()
    assert_found(submit(), sim)


@over_at_once
@pytest.mark.parametrize("path", ["accounts", "videos/"])
def test_results_that_cannot_be_seen_at_all_leave_it_unknown(sim, lose, logged, path):
    sim.inject(faults.status(503), times=None, path=path, method="GET")
    lose()
    assert_unknown(submit(), logged, "what the accounts have made cannot be seen")
    assert len(sim.submitted()) == 1


@over_at_once
@pytest.mark.parametrize("payload", [OWN_SEED, UPSCALE], ids=["own seed", "no seed"])
def test_result_that_may_be_that_of_a_job_no_look_has_seen_makes_it_unknown(sim, lose, logged, payload):
    lose()
    outcome = submit(**payload)
    [job] = sim.submitted()
    assert_unknown(outcome, logged, f"it may be {job.id}")


@pytest.mark.parametrize("payload", [OWN_SEED, UPSCALE, {}], ids=["own seed", "no seed", "random seed"])
def test_what_others_made_is_no_reason_not_to_submit(sim, lose, payload):
    """Their results have another seed, or belong to jobs that are listed with another reference."""
    sim.start_job("a-1@example.com", reply_ref="another")
    lose(faults.lost_request(), times=1)
    outcome = submit(**payload)
    assert (outcome.state("make"), len(sim.submitted())) == ("success", 1)


@pytest.mark.pixverse_simulator(job_seconds=(0, 0), clock=lambda: time.time() - 3600)
def test_a_worker_whose_clock_is_wrong_finds_its_job(sim, lose):
    lose()
    assert_found(submit(), sim)


@pytest.mark.pixverse_simulator(job_seconds=(0, 0), clock=lambda: time.time() - 3600)
def test_a_worker_whose_clock_is_wrong_takes_a_result_since_its_submit_for_no_older_one(sim, lose, logged):
    lose()
    assert_unknown(submit(**OWN_SEED), logged, "it may be ")
    assert len(sim.submitted()) == 1


@over_at_once
@pytest.mark.parametrize("version", ["create-v3", "create-v4"])
def test_older_names_of_an_endpoint_take_a_seed_too(sim, lose, version):
    lose()
    assert_found(submit(endpoint=f"videos/{version}"), sim)


# The bound on whatever is left


def test_the_second_submit_in_a_row_that_got_lost_is_unknown(sim, mode, lose, logged):
    lose(faults.lost_request())
    outcome = submit(retries=3, **mode)
    assert_unknown(outcome, logged, "an earlier submit of this task got lost, too")
    assert len(posts(sim)) == 2


def test_second_lost_submit_in_a_row_is_unknown_also_in_a_retry(sim, lose, logged):
    """Without a wait for a slot, it is a retry that submits again."""
    lose(faults.lost_request())
    outcome = submit(retries=3, wait_for_capacity=False)
    assert_unknown(outcome, logged, "an earlier submit of this task got lost, too", tries=2)
    assert len(posts(sim)) == 2


def test_second_lost_submit_after_a_refusal_is_unknown_too(sim, mode, lose, logged):
    for fault in (faults.lost_request(), faults.rate_limit(), faults.lost_request()):
        lose(fault, times=1)
    outcome = submit(retries=3, **mode)
    assert_unknown(outcome, logged, "an earlier submit of this task got lost, too")
    assert len(posts(sim)) == 3


def test_lost_submit_is_not_counted_as_a_refusal(sim, mode, lose):
    lose(faults.lost_request(), times=1)
    assert submit(max_refusals=0, **mode).end("make") == ("success", 1)
    assert len(sim.submitted()) == 1


def test_resubmit_happens_once_a_try_also_for_an_earlier_one(sim, mode, dying, lose, logged):
    """The first try dies before its submit; every answer to the second is lost, and its job is not listed."""
    dying("before")
    lose()
    payload = PROMPT | {"off_peak_mode": True}
    outcome = submit(payload=payload, on_unknown="resubmit", retries=3, **UPSCALE, **mode)
    assert_unknown(outcome, logged, tries=2)
    assert len(sim.submitted()) == 1


def test_resubmit_without_sight_of_any_job_pays_twice_at_most(sim, lose, logged):
    """Every answer is lost, and nothing can be seen."""
    lose(faults.lost_answer(code=502))
    sim.inject(faults.status(502), times=None, method="GET", path=AVAILABLE)
    sim.inject(faults.status(502), times=None, method="GET", path="accounts")
    outcome = submit(on_unknown="resubmit", wait_for_capacity=False)
    assert_unknown(outcome, logged)
    assert len(sim.submitted()) == 2


def test_resubmit_does_not_add_to_what_was_taken_for_not_accepted(sim, mode, lose, logged):
    lose(faults.lost_request())
    assert_unknown(submit(on_unknown="resubmit", **mode), logged)
    assert len(posts(sim)) == 2
