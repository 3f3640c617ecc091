"""The methods with which a test controls a running simulator, and its logs."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from airflow_pixverse.simulator import faults
from airflow_pixverse.simulator.control import KEPT_REQUESTS
from airflow_pixverse.simulator.log import LOGGED_HEADERS, MAX_TEXT, Log, LoggedRequest
from airflow_pixverse.simulator.script import MAX_FAULTS
from tests.unit.simulator.helpers import A, B


def test_fill_leaves_nothing_free_and_set_max_jobs_makes_room(sim, api):
    sim.fill()
    assert sim.free() == sim.free(A) == 0
    sim.set_max_jobs(A, 5)
    assert (sim.free(), sim.free(A), sim.free(B)) == (2, 2, 0)
    assert api.get("/scheduler/available").json()["available"][0]["maxJobs"] == 5
    assert sim.end_all_jobs() == 6


def test_a_request_is_logged_without_its_query_its_token_and_other_secrets(sim, api):
    secrets = {"Cookie": "session=1", "X-Api-Key": "2", "Proxy-Authorization": "Basic 3"}
    api.get("/scheduler/?secret=1", headers={"User-Agent": "me"} | secrets)
    (logged,) = sim.requests
    assert (logged.method, logged.path) == ("GET", "/v2/pixverse/scheduler/")
    assert (logged.status, logged.fault) == (200, None)
    assert logged.headers["User-Agent"] == "me"
    assert logged.headers["Authorization"] == "authorized"
    assert {"User-Agent", "Host"} <= set(logged.headers) <= {*LOGGED_HEADERS, "Authorization"}
    assert 0 < logged.monotonic < logged.wall
    assert sim.token not in repr(logged)


@pytest.mark.parametrize(("token", "verdict"), [("", "missing"), ("user:1-wrong", "wrong")])
def test_the_log_tells_a_missing_from_a_wrong_token(sim, connect, token, verdict):
    connect(sim, token).get("/scheduler/")
    (logged,) = sim.requests
    assert (logged.status, logged.headers["Authorization"]) == (401, verdict)
    assert "user:1-wrong" not in repr(logged)


def test_requests_off_the_api_are_not_found_with_or_without_a_token_and_logged(sim, connect):
    for token in (sim.token, ""):
        answer = connect(sim, token, path="").get("/favicon.ico")
        assert answer.json() == {"error": "Not Found", "code": 404}
    assert [(logged.path, logged.status) for logged in sim.requests] == [("/favicon.ico", 404)] * 2


def test_waiting_for_requests_and_jobs_ends_when_they_arrive_even_unanswered(sim, api):
    sim.inject(faults.late_answer(3600))
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(api.post, "/videos/create")
        sim.wait_for_requests(1)
        sim.wait_for_submitted(1)
        assert (sim.requests[0].status, len(sim.submitted()), asking.done()) == (None, 1, False)
        sim.stop()
        assert isinstance(asking.exception(timeout=60), requests.ConnectionError)


def test_waiting_for_requests_and_jobs_that_do_not_come_times_out(sim, api):
    api.post("/videos/create")
    sim.start_job()
    for wait in (sim.wait_for_requests, sim.wait_for_submitted):
        wait(1)
        with pytest.raises(TimeoutError, match="1 of 2"):
            wait(2, timeout=0.01)


def test_the_log_forgets_the_oldest_requests_but_counts_them():
    log = Log(limit=3)
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


def test_no_more_than_a_thousand_faults_can_wait(sim):
    for _ in range(MAX_FAULTS):
        sim.inject(faults.html())
    with pytest.raises(ValueError, match=r"^fault: 1000 faults are injected already"):
        sim.inject(faults.html())
    sim.clear_faults()
    sim.inject(faults.html())


def test_a_canned_answer_stands_in_for_all_with_the_token_until_it_is_removed(sim, api, connect):
    sim.respond_with("scheduler/", {"odd": [None]})
    sim.respond_with("scheduler/available", b"\xef\xbb\xbf[", status=207)
    assert api.get("/scheduler").json() == {"odd": [None]}
    assert connect(sim, "wrong").get("/scheduler/").status_code == 401
    odd = api.get("/scheduler/available/")
    assert (odd.status_code, odd.content) == (207, b"\xef\xbb\xbf[")
    sim.respond_with("scheduler", None)
    assert api.get("/scheduler/").json() == []
    assert api.get("/scheduler/available").status_code == 207
