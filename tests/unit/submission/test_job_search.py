"""Looking for the jobs of one submit: what a list proves, and what it leaves open."""

import time
from datetime import timedelta

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.simulator import Simulator, faults
from airflow_pixverse.submission.lost_jobs import JobSearch, SubmitFingerprint

A, B = "a-1@example.com", "a-2@example.com"
REFERENCE = "airflow:dag/run/task/-1#abc"
AVAILABLE = "scheduler/available"


@pytest.fixture(params=[True, False], ids=["the API repeats replyRef", "the API does not"])
def sim(request):
    with Simulator(results_with_reply_ref=request.param) as simulator:
        yield simulator


@pytest.fixture
def client(sim):
    with PixverseClient(sim.token, sim.url, max_retries=0) as client:
        yield client


def submit(client, endpoint="videos/create", **payload):
    payload = {"replyRef": REFERENCE, "seed": 7, **payload}
    [job_id] = client.submit(endpoint, {name: value for name, value in payload.items() if value}).job_ids
    return job_id


def search(client, sent_ago=1.0, **changes):
    known = {"endpoint": "videos/create", "reference": REFERENCE, "random_seed": 7}
    fingerprint = SubmitFingerprint(sent_ago=lambda: timedelta(seconds=sent_ago), **known | changes)
    return JobSearch(client, fingerprint)


def look(client, sent_ago=1.0, **changes):
    """Return the jobs that a look at both lists has found, and those that it suspects."""
    one = search(client, sent_ago, **changes)
    assert one.look() is None
    return one.found, one.suspects


def executing(client, **changes):
    one = search(client, **changes)
    one.look_at_executing()
    return one.found, one.suspects


def made(client, sent_ago=1.0, **changes):
    one = search(client, sent_ago, **changes)
    one.look_at_results()
    return one.found, one.suspects


# The list of executing jobs


def test_a_job_that_executes_is_found_by_its_reference(client):
    job = submit(client)
    submit(client, replyRef=REFERENCE + "d")
    assert executing(client) == ([job], [])


def test_a_reference_in_another_case_is_the_same(sim, client):
    job = submit(client)
    sim.inject(faults.garbled("replyRef", "upper"), path=AVAILABLE)
    assert executing(client) == ([job], [])


@pytest.mark.parametrize("how", ["missing", "empty", "cut"])
def test_a_job_without_a_reference_that_can_be_read_may_be_the_one(sim, client, how):
    job = submit(client)
    sim.inject(faults.garbled("replyRef", how), path=AVAILABLE)
    assert executing(client) == ([], [job])


def entry(**changes):
    fields = {"id": f"user:1-pixverse:{A}-video:1", "type": "video", "elapsed": "00:01", "replyRef": None}
    return {name: value for name, value in (fields | changes).items() if value is not None}


def listing(sim, *entries):
    sim.respond_with(AVAILABLE, {"executing": list(entries), "available": []})


@pytest.mark.parametrize(
    "another",
    [
        entry(replyRef="somebody else's"),
        entry(elapsed="01:30"),
        entry(elapsed="1:00:00"),
        entry(id=f"user:1-pixverse:{B}-video:1"),
        entry(id=f"user:1-pixverse:{A}-music:1"),
    ],
    ids=["another reference", "older", "much older", "another account", "another kind"],
)
def test_a_job_that_cannot_be_the_one_is_not_suspected(sim, client, another):
    listing(sim, another)
    assert executing(client, email=A) == ([], [])


@pytest.mark.parametrize(
    "one",
    [
        entry(elapsed=None),
        entry(elapsed="soon"),
        entry(started="2001-01-01T00:00:00Z"),
        entry(id="no id of the usual form"),
        entry(id=f"user:1-pixverse:{A}-image:1"),
        entry(id=f"user:1-pixverse:{A}-dream:1"),
        entry(replyRef="airflow:dag/run…"),
        entry(replyRef="airflow:dag/run/task/-1"),
    ],
)
def test_a_job_that_may_be_the_one_is_suspected(sim, client, one):
    """An age counts as a duration only: the date of its start may be by another clock."""
    listing(sim, one)
    assert executing(client, email=A) == ([], [one["id"]])


def test_a_job_without_an_id_may_be_the_one_and_cannot_be_waited_for(sim, client):
    listing(sim, entry(id=None, replyRef=REFERENCE))
    assert executing(client) == ([], ["a job without an id"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"available": []},
        {"executing": None, "available": []},
        {"executing": [entry(replyRef="another"), "an entry that is none"]},
    ],
)
def test_a_list_that_is_not_there_or_not_whole_is_no_list_without_the_job(sim, client, body):
    sim.respond_with(AVAILABLE, body)
    with pytest.raises(PixverseError, match="did not list all jobs"):
        executing(client)


def test_music_is_found_where_it_is_listed(client):
    job = submit(client, "music/create", seed=None)
    assert executing(client, endpoint="music/create", random_seed=None) == ([job], [])


# The list of results


def test_a_job_that_has_ended_is_found_among_what_its_accounts_have_made(sim, client):
    job = submit(client)
    submit(client, replyRef="somebody else's", seed=8)
    sim.end_all_jobs()
    assert look(client) == ([job], [])


def test_all_pages_are_looked_at_until_they_are_older(sim, client):
    job = submit(client, email=A)
    for number in range(120):
        sim.end_job(sim.start_job(A, reply_ref=f"other {number}"))
    sim.end_all_jobs()
    assert made(client, email=A)[0] == [job]


def test_no_more_is_asked_for_once_a_page_is_older():
    clock = [time.time()]
    with Simulator(clock=lambda: clock[0]) as sim, PixverseClient(sim.token, sim.url) as client:
        for _ in range(60):
            sim.end_job(sim.start_job(A))
        clock[0] += 3600
        assert made(client, email=A) == ([], [])
        assert sim.request_count == 2  # of videos and images: effects make both


def test_a_list_that_never_gets_older_is_not_seen_to_its_end(sim, client):
    rows = [{"video_id": f"v-{number}", "replyRef": "another"} for number in range(50)]
    sim.respond_with("videos/", {"data": rows})
    with pytest.raises(PixverseError, match="more than 10 recent pages"):
        made(client, email=A)


def test_only_the_account_that_it_was_sent_to_is_looked_at(sim, client):
    submit(client, email=A)
    sim.end_all_jobs()
    assert made(client, email=B) == ([], [])


def test_a_random_seed_is_enough_whatever_the_age(client):
    job = submit(client, replyRef=None)
    assert made(client, sent_ago=-3600.0) == ([job], [])


@pytest.mark.parametrize("how", ["missing", "empty", "cut"])
def test_a_result_without_a_reference_is_not_that_of_another(sim, client, how):
    job = submit(client)
    sim.inject(faults.garbled("replyRef", how), times=None, path="videos/")
    assert made(client) == ([job], [])


def test_a_result_that_names_another_reference_is_that_of_another():
    with (
        Simulator(results_with_reply_ref=True) as sim,
        PixverseClient(sim.token, sim.url) as client,
    ):
        submit(client, replyRef="somebody else's")
        assert made(client) == ([], [])


def test_a_seed_that_the_user_chose_is_suspicious_and_no_proof(client):
    job = submit(client, replyRef=None)
    submit(client, replyRef=None, seed=8)
    assert made(client, random_seed=None, user_seed=7) == ([], [job])


def test_without_seed_and_reference_whatever_was_begun_since_may_be_it(client):
    job = submit(client, replyRef=None)
    assert made(client, random_seed=None) == ([], [job])


def test_an_endpoint_that_takes_no_seed_is_not_told_by_it(client):
    job = submit(client, "videos/upscale", replyRef=None, seed=8)
    assert made(client, endpoint="videos/upscale", random_seed=None, user_seed=7) == ([], [job])


@pytest.mark.parametrize("seconds_ahead", [-3600, 3600], ids=["behind", "ahead"])
def test_what_was_made_before_is_known_by_the_clock_of_the_service(seconds_ahead):
    clock = [time.time() - seconds_ahead]
    with Simulator(clock=lambda: clock[0]) as sim, PixverseClient(sim.token, sim.url) as client:
        sim.end_job(sim.start_job(A))
        assert made(client, random_seed=None)[1] != []
        clock[0] += 600
        assert made(client, random_seed=None) == ([], [])


def test_a_result_without_a_date_may_be_of_any_time(sim, client):
    sim.respond_with("videos/", {"data": [{"video_id": "x"}], "has_more": False})
    assert made(client, random_seed=None, email=A) == ([], ["x"])


def test_what_an_effect_makes_of_a_video_is_looked_for_among_the_images(sim, client):
    job = submit(client, template_id=2)
    sim.end_all_jobs()
    assert "-image:" in job
    assert made(client) == ([job], [])


def test_speech_is_found_among_the_music(sim, client):
    job = submit(client, "speech/create", seed=None)
    submit(client, "music/create", seed=None, replyRef=None)
    found = ([job], []) if sim.results_with_reply_ref else ([], [job])
    assert made(client, endpoint="speech/create", random_seed=None) == found


def test_trouble_is_an_error_and_not_an_empty_list(sim, client):
    sim.inject(faults.status(503), times=None)
    for ask in (executing, made):
        with pytest.raises(PixverseError):
            ask(client)


def test_no_accounts_are_not_accounts_without_the_job(sim, client):
    sim.respond_with("accounts", {})
    with pytest.raises(PixverseError, match="email"):
        made(client)


def test_an_account_in_trouble_does_not_hide_what_the_others_have_made(sim, client):
    job = submit(client, email=B)
    sim.inject(faults.status(596, {"error": "the password has changed"}), times=1, path="videos/")
    one = search(client)
    with pytest.raises(PixverseError, match="the password has changed"):
        one.look_at_results()
    assert one.found == [job]


# Both


def test_what_one_list_leaves_open_the_other_may_tell(sim, client):
    mine = submit(client)
    submit(client, replyRef="another", seed=8)
    sim.inject(faults.garbled("replyRef", "missing"), path=AVAILABLE)
    assert look(client) == ([mine], [])


def test_a_result_of_what_is_listed_with_another_reference_is_that_of_another(client):
    submit(client, replyRef="another", seed=None)
    assert look(client, random_seed=None) == ([], [])


def test_several_images_may_be_in_both_lists(sim, client):
    jobs = client.submit("images/create", {"replyRef": REFERENCE, "seed": 7, "create_count": 2}).job_ids
    sim.end_job(jobs[0])
    found, _ = look(client, endpoint="images/create")
    assert sorted(found) == sorted(jobs)
