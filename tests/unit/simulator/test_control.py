"""What tests can do to a running simulator, and what it tells them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import requests

from airflow_pixverse.simulator import faults
from airflow_pixverse.simulator.control import KEPT_REQUESTS
from airflow_pixverse.simulator.requestlog import LOGGED_HEADERS, MAX_TEXT, LoggedRequest, RequestLog
from airflow_pixverse.simulator.script import MAX_FAULTS

A, B = "a-1@example.com", "b@example.com"


def test_jobs_started_and_ended_by_a_test_are_seen_by_customers(sim, api):
    job = sim.start_job(A, type="speech", reply_url="https://example.com")
    (seen,) = api.get("/scheduler/").json()
    assert (seen["id"], seen["type"], seen["replyUrl"]) == (job, "speech", "https://example.com")
    sim.end_job(job)
    assert api.get("/scheduler/").json() == []


def test_fill_leaves_nothing_free_and_set_max_jobs_makes_room(sim, api):
    sim.fill()
    assert sim.free() == sim.free(A) == 0
    sim.set_max_jobs(A, 5)
    assert (sim.free(), sim.free(A), sim.free(B)) == (2, 2, 0)
    assert api.get("/scheduler/available").json()["available"][0]["maxJobs"] == 5
    assert sim.end_all_jobs() == 6


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda sim: sim.start_job(A, seconds=-1), "seconds"),
        (lambda sim: sim.start_job(A, seconds=float("nan")), "seconds"),
        (lambda sim: sim.start_job(A, started=datetime(2024, 9, 25)), "started"),
        (lambda sim: sim.start_job(A, type=""), "type"),
        (lambda sim: sim.set_max_jobs(A, -1), "max_jobs"),
        (lambda sim: sim.inject(faults.html), "fault"),
        (lambda sim: sim.inject(faults.html(), times=0), "times"),
        (lambda sim: sim.respond_with("scheduler/", [], status=42), "status"),
        (lambda sim: setattr(sim, "token", "a\nb"), "token"),
        (lambda sim: setattr(sim, "schema", "2020-01-01"), "schema"),
    ],
)
def test_what_cannot_be_used_is_refused_under_its_name(sim, call, field):
    with pytest.raises(ValueError, match=f"^{field}: "):
        call(sim)
    assert sim.free() == 6


def test_a_request_is_logged_without_its_query_and_token(sim, api):
    api.get("/scheduler/?secret=1", headers={"User-Agent": "me"})
    (logged,) = sim.requests
    assert (logged.method, logged.path, logged.status, logged.fault) == (
        "GET",
        "/v2/pixverse/scheduler/",
        200,
        None,
    )
    assert logged.headers["User-Agent"] == "me"
    assert logged.headers["Authorization"] == "authorized"
    assert 0 < logged.monotonic < logged.wall
    assert sim.token not in repr(logged)


@pytest.mark.parametrize(("token", "verdict"), [("", "missing"), ("user:1-wrong", "wrong")])
def test_the_log_tells_a_missing_from_a_wrong_token(sim, connect, token, verdict):
    connect(sim, token).get("/scheduler/")
    (logged,) = sim.requests
    assert (logged.status, logged.headers["Authorization"]) == (401, verdict)
    assert "user:1-wrong" not in repr(logged)


def test_requests_off_the_api_are_logged_too(sim, connect):
    connect(sim, path="").get("/favicon.ico")
    assert [(logged.path, logged.status) for logged in sim.requests] == [("/favicon.ico", 404)]


def test_waiting_for_requests_ends_when_they_arrive_even_unanswered(sim, connect):
    sim.inject(faults.slow(3600))
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(connect(sim).get, "/scheduler/")
        sim.wait_for_requests(1)
        assert (sim.requests[0].status, asking.done()) == (None, False)
        sim.stop()
        assert isinstance(asking.exception(timeout=60), requests.ConnectionError)


def test_waiting_for_requests_that_do_not_come_times_out(sim, api):
    api.get("/scheduler/")
    sim.wait_for_requests(1)
    with pytest.raises(TimeoutError, match="1 of 2"):
        sim.wait_for_requests(2, timeout=0.01)


def test_the_log_forgets_the_oldest_requests_but_counts_them():
    log = RequestLog(limit=3)
    for n in range(5):
        log.add(LoggedRequest("GET", f"/{n}", {}))
    assert [logged.path for logged in log.kept()] == ["/2", "/3", "/4"]
    assert log.count == 5
    log.wait_for(5, timeout=0)


def test_the_log_is_bounded_however_long_the_requests_are(sim, api):
    assert KEPT_REQUESTS == 10_000
    assert not hasattr(LoggedRequest("GET", "/", {}), "__dict__")
    api.get("/" + "x" * 5000, headers={"User-Agent": "y" * 5000})
    [logged] = sim.requests
    assert (len(logged.path), len(logged.headers["User-Agent"])) == (MAX_TEXT, MAX_TEXT)


def test_only_headers_that_hold_no_secrets_are_logged(sim, api):
    api.get(
        "/scheduler/", headers={"Cookie": "session=1", "X-Api-Key": "2", "Proxy-Authorization": "Basic 3"}
    )
    [logged] = sim.requests
    assert (
        {"Authorization", "User-Agent", "Host"} <= set(logged.headers) <= {*LOGGED_HEADERS, "Authorization"}
    )


def test_no_more_than_a_thousand_faults_can_wait(sim):
    for _ in range(MAX_FAULTS):
        sim.inject(faults.html())
    with pytest.raises(ValueError, match=r"^fault: 1000 faults are injected already"):
        sim.inject(faults.html())
    sim.clear_faults()
    sim.inject(faults.html())


def test_a_canned_answer_stands_in_until_it_is_removed(sim, api):
    sim.respond_with("scheduler/", {"odd": [None]})
    sim.respond_with("scheduler/available", b"\xef\xbb\xbf[", status=207)
    assert api.get("/scheduler").json() == {"odd": [None]}
    odd = api.get("/scheduler/available/")
    assert (odd.status_code, odd.content) == (207, b"\xef\xbb\xbf[")
    sim.respond_with("scheduler", None)
    assert api.get("/scheduler/").json() == []
    assert api.get("/scheduler/available").status_code == 207


def test_a_canned_answer_is_not_for_strangers(sim, connect):
    sim.respond_with("scheduler/", {"odd": True})
    assert connect(sim, "wrong").get("/scheduler/").status_code == 401
