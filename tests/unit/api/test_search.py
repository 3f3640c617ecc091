"""Looking for a job of which only is known how it was submitted."""

from datetime import UTC, datetime, timedelta

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.search import Traces, find_executing, find_made
from airflow_pixverse.simulator import Simulator, faults

REFERENCE = "airflow:dag/run/task/-1#abc"
NOW = datetime.now(UTC)


@pytest.fixture(params=[True, False], ids=["the API repeats replyRef", "the API does not"])
def sim(request):
    with Simulator(results_with_reply_ref=request.param) as simulator:
        yield simulator


@pytest.fixture
def client(sim):
    with PixverseClient(sim.token, sim.url, max_retries=0) as client:
        yield client


def submit(client, **payload):
    [job_id] = client.submit("videos/create", {"replyRef": REFERENCE, "seed": 7, **payload}).job_ids
    return job_id


def traces(**changes):
    return Traces(
        **{"endpoint": "videos/create", "reference": REFERENCE, "sent_at": NOW, "seed": 7, **changes}
    )


def test_a_job_that_executes_is_found_by_its_reference(client):
    job = submit(client)
    submit(client, replyRef=REFERENCE + "d")
    assert find_executing(client, REFERENCE) == [job]


def test_a_job_that_has_ended_is_found_among_what_its_accounts_have_made(sim, client):
    job = submit(client)
    submit(client, replyRef="somebody else's", seed=8)
    sim.end_all_jobs()
    assert find_executing(client, REFERENCE) == []
    assert find_made(client, traces()) == [job]


def test_all_pages_are_looked_at_until_they_are_older(sim, client):
    job = submit(client, email="a-1@example.com")
    for number in range(120):
        sim.end_job(sim.start_job("a-1@example.com", reply_ref=f"other {number}"))
    sim.end_all_jobs()
    assert find_made(client, traces(email="a-1@example.com")) == [job]
    count = sim.request_count
    assert (
        find_made(
            client, traces(email="a-1@example.com", sent_at=NOW + timedelta(hours=1), seed=9, reference="?")
        )
        == []
    )
    assert sim.request_count == count + 1  # the whole first page is older


def test_only_the_account_that_it_was_sent_to_is_looked_at(sim, client):
    submit(client, email="a-1@example.com")
    sim.end_all_jobs()
    assert find_made(client, traces(email="a-2@example.com")) == []


def test_the_same_seed_of_long_ago_is_another_job(sim, client):
    submit(client, replyRef=None)
    sim.end_all_jobs()
    assert find_made(client, traces(sent_at=NOW + timedelta(hours=1))) == []


def test_without_seed_and_reference_nothing_is_found(sim, client):
    submit(client, replyRef=None)
    sim.end_all_jobs()
    assert find_made(client, traces(seed=None)) == []


def test_trouble_is_an_error_and_not_an_empty_list(sim, client):
    sim.inject(faults.status(503), times=None)
    for find in (lambda: find_executing(client, REFERENCE), lambda: find_made(client, traces())):
        with pytest.raises(PixverseError):
            find()


def test_speech_is_found_among_the_music(sim, client):
    if not sim.results_with_reply_ref:
        pytest.skip("speech has no seed to be told by")
    [job] = client.submit("speech/create", {"prompt": "hello", "replyRef": REFERENCE}).job_ids
    sim.end_all_jobs()
    assert find_made(client, traces(endpoint="speech/create", seed=None)) == [job]


def test_an_account_in_trouble_does_not_hide_what_the_others_have_made(sim, client):
    job = submit(client, email="a-2@example.com")
    sim.inject(faults.status(596, {"error": "the password has changed"}), times=1, path="videos/")
    assert find_made(client, traces()) == [job]


def test_an_account_in_trouble_that_may_have_made_it_is_an_error(sim, client):
    sim.inject(faults.status(596, {"error": "the password has changed"}), times=1, path="videos/")
    with pytest.raises(PixverseError, match="the password has changed"):
        find_made(client, traces())
