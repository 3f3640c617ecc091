"""The look for lost jobs, by the process that sent them and by a retry."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_pixverse.api import accounts
from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import PixverseTransientError, PixverseUnknownOutcomeError
from airflow_pixverse.simulator import faults
from airflow_pixverse.submission import lost_jobs
from airflow_pixverse.submission.lost_jobs import (
    JobSearch,
    LookTiming,
    SubmitFingerprint,
    doubts_about,
    find_submitted_jobs,
    look_for_lost_job,
    suspicion_of,
)
from tests.unit.journal.example import RECORD

AVAILABLE = "scheduler/available"
REFERENCE = RECORD.reference
SENDING = replace(RECORD, seed=7)
HIDDEN = "the list of executing jobs was out of sight for more than 10 s"


def look(sim, clock, record=SENDING):
    """The jobs that were found, and the doubts."""
    began = clock.now
    with PixverseClient(sim.token, sim.url, max_retries=0) as client:
        fingerprint = SubmitFingerprint.of(record, seconds_since=lambda: clock.now - began)
        search = JobSearch(client, fingerprint)
        doubts = look_for_lost_job(search, clock=lambda: clock.now, sleep=clock.sleep)
    return search.found, doubts


def test_a_job_that_is_listed_is_found_at_once(sim, clock):
    job = sim.start_job(reply_ref=REFERENCE)
    assert look(sim, clock) == ([job], [])
    assert clock.passed() == 0


def test_a_job_that_is_listed_later_is_found(sim, clock):
    clock.at[44] = lambda: sim.start_job(reply_ref=REFERENCE)
    found, _ = look(sim, clock)
    assert len(found) == 1


def test_what_is_nowhere_to_be_seen_for_45_seconds_is_not_there(sim, clock):
    sim.start_job(reply_ref="somebody else's")
    assert look(sim, clock) == ([], [])
    assert clock.passed() == 45


def test_what_began_and_ended_between_two_looks_is_found_among_the_results(sim, clock):
    with PixverseClient(sim.token, sim.url) as client:
        [job] = client.submit("videos/create", {"prompt": "a cat", "seed": 7}).job_ids
    sim.end_all_jobs()
    assert look(sim, clock) == ([job], [])


def test_short_trouble_is_no_gap(sim, clock):
    clock.at[20] = lambda: sim.inject(faults.status(503), times=2, path=AVAILABLE)
    assert look(sim, clock) == ([], [])


@pytest.mark.parametrize("begin", [0, 20, 33])
def test_a_list_that_is_out_of_sight_for_long_proves_nothing(sim, clock, begin):
    clock.at[begin] = lambda: sim.inject(faults.status(503), times=4, path=AVAILABLE)
    clock.sleep(0)
    clock.now = 1000.0
    assert look(sim, clock) == ([], [HIDDEN])
    assert clock.passed() == 45


def test_a_list_that_was_never_seen_proves_nothing_however_short_the_look(sim, clock, monkeypatch):
    monkeypatch.setattr(lost_jobs, "TIMING", LookTiming(look_for=1.0))
    sim.inject(faults.status(503), times=None, path=AVAILABLE)
    assert look(sim, clock) == ([], [HIDDEN])


def test_a_process_that_was_paused_in_between_has_a_gap(sim, clock):
    clock.at[20] = lambda: clock.sleep(15)
    assert look(sim, clock) == ([], [HIDDEN])


@pytest.mark.parametrize("path", ["accounts", "videos/", "images/"])
def test_results_that_cannot_be_seen_for_a_moment_are_asked_for_again(sim, clock, path):
    sim.inject(faults.status(503), times=1, path=path)
    assert look(sim, clock) == ([], [])


@pytest.mark.parametrize("path", ["accounts", "videos/", "images/"])
def test_results_that_cannot_be_seen_leave_it_open(sim, clock, path):
    sim.inject(faults.status(503), times=None, path=path)
    found, [doubt] = look(sim, clock)
    assert found == []
    assert doubt.startswith("what the accounts have made cannot be seen: ")
    assert path in doubt
    assert clock.passed() == 45 + 4 * 3


def test_accounts_that_are_not_read_leave_it_open(sim, clock, monkeypatch):
    monkeypatch.setattr(accounts, "MAX_ACCOUNTS_LISTED", 2)
    found, [doubt] = look(sim, clock)
    assert found == []
    assert doubt == (
        "what the accounts have made cannot be seen: GET accounts may list more accounts than are read"
    )


def test_a_job_that_may_be_the_one_is_named(sim, clock):
    job = sim.start_job()
    assert look(sim, clock) == ([], [f"it may be {job}"])


@pytest.mark.parametrize(
    ("jobs", "text"),
    [
        ([], ""),
        (["a"], "it may be a"),
        (["a", "b", "c"], "it may be a, b, c"),
        (["a", "b", "c", "d", "e"], "it may be a, b, c, 2 others"),
    ],
)
def test_few_suspects_are_named(jobs, text):
    assert suspicion_of(jobs) == text


def doubts(status=None, endpoint="videos/create", *, again=False, **payload):
    request = SimpleNamespace(endpoint=endpoint, payload=payload)
    return doubts_about(request, PixverseUnknownOutcomeError("x", status=status), is_resubmission=again)


@pytest.mark.parametrize(
    ("parameters", "doubt"),
    [
        ({"status": 200}, "its answer says success"),
        ({"status": 204}, "its answer says success"),
        ({"off_peak_mode": True}, "an off-peak job is not listed while it waits"),
        ({"endpoint": "music/create"}, "music is not known to be listed while it is made"),
        ({"endpoint": "speech/create"}, "speech is not known to be listed while it is made"),
        ({"again": True}, "an earlier submit of this task got lost, too"),
    ],
)
def test_some_submits_cannot_be_settled_by_a_look(parameters, doubt):
    assert doubts(**parameters) == [doubt]


@pytest.mark.parametrize("endpoint", ["videos/create", "videos/upscale/", "images/create"])
@pytest.mark.parametrize("status", [None, 413, 502])
def test_other_submits_can_be_settled_by_a_look(endpoint, status):
    assert doubts(status, endpoint, off_peak_mode=False) == []


@pytest.mark.parametrize(
    ("seed", "known"), [(7, 7), ("7", 7), (None, None), ("x", None), (True, None), ([7], None)]
)
def test_a_seed_of_the_user_is_known_if_it_is_a_number(seed, known):
    fingerprint = SubmitFingerprint.of(SENDING, seconds_since=lambda: 0.0, user_seed=seed)
    assert fingerprint.user_seed == known


# By a retry


def find(sim, clock, *, sent, endpoint="videos/create"):
    """Look at 1000 for what was sent at a time of the same clock."""
    sent_at = datetime.fromtimestamp(sent, UTC).isoformat()
    record = replace(SENDING, endpoint=endpoint, sent_at=sent_at)
    with PixverseClient(sim.token, sim.url, max_retries=0) as client:
        return find_submitted_jobs(client, record, clock=lambda: clock.now, sleep=clock.sleep).found


def test_a_job_that_executes_is_found_at_once(sim, clock):
    job = sim.start_job(reply_ref=REFERENCE)
    assert find(sim, clock, sent=995) == [job]
    assert clock.passed() == 0


def test_a_job_that_the_service_lists_late_is_found(sim, clock):
    clock.at[30] = lambda: sim.start_job(reply_ref=REFERENCE)
    assert len(find(sim, clock, sent=990)) == 1
    assert clock.passed() == 30


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [(990, 35), (955, 0), (100, 0), (5000, 45)],
    ids=["ten seconds ago", "45 seconds ago", "long ago", "by a clock that is ahead"],
)
def test_it_is_looked_for_until_it_was_sent_45_seconds_ago(sim, clock, sent, seconds):
    assert find(sim, clock, sent=sent) == []
    assert clock.passed() == seconds


def test_a_list_that_cannot_be_seen_is_no_list_without_the_job(sim, clock):
    sim.inject(faults.status(503), times=None)
    with pytest.raises(PixverseTransientError):
        find(sim, clock, sent=100)
    assert clock.passed() == 4 * 3


@pytest.mark.parametrize("path", ["scheduler/available", "accounts", "videos/"])
def test_a_list_that_cannot_be_seen_for_a_moment_is_asked_for_again(sim, clock, path):
    sim.inject(faults.status(503), path=path)
    assert find(sim, clock, sent=100) == []


def test_a_job_that_has_ended_is_found_by_its_random_seed_whatever_the_clocks_say(sim, clock):
    with PixverseClient(sim.token, sim.url) as client:
        [job] = client.submit("videos/create", {"prompt": "a cat", "seed": 7}).job_ids
    sim.end_all_jobs()
    assert find(sim, clock, sent=5000) == [job]


def test_images_that_have_left_the_list_are_found_beside_those_that_execute(sim, clock):
    with PixverseClient(sim.token, sim.url) as client:
        body = {"prompt": "a cat", "replyRef": REFERENCE, "seed": 7, "create_count": 2}
        jobs = client.submit("images/create", body).job_ids
    sim.end_job(jobs[0])
    sim.inject(faults.status(500), path="images/")
    assert sorted(find(sim, clock, sent=995, endpoint="images/create")) == sorted(jobs)


def test_images_that_execute_are_enough_where_the_results_cannot_be_seen(sim, clock):
    job = sim.start_job("a-1@example.com", type="image", reply_ref=REFERENCE)
    sim.inject(faults.status(503), times=None, path="accounts")
    assert find(sim, clock, sent=100, endpoint="images/create") == [job]
    assert clock.passed() == 4 * 3


def test_a_video_that_executes_is_found_without_a_look_at_the_results(sim, clock):
    job = sim.start_job("a-1@example.com", reply_ref=REFERENCE)
    sim.inject(faults.status(503), times=None, path="accounts")
    assert find(sim, clock, sent=995) == [job]
    assert clock.passed() == 0
