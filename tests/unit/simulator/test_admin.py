"""Making jobs and trouble over HTTP, at a simulator that runs by itself."""

from __future__ import annotations

import pytest

from airflow_pixverse.simulator import faults

A = "a-1@example.com"


def test_a_fault_can_be_injected_and_cleared(admin, api):
    body = {"fault": "rate_limit", "retry_after": 5, "times": 3, "path": "available"}
    assert admin.post("/faults", json=body).status_code == 204
    limited = api.get("/scheduler/available")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "5")
    assert api.get("/scheduler/").status_code == 200
    assert admin.delete("/faults").status_code == 204
    assert api.get("/scheduler/available").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"fault": "status", "code": 503, "retry_after": "soon"},
        {"fault": "html"},
        {"fault": "broken_json"},
        {"fault": "error_in_200", "error": {"a": 1}, "code": 401},
        {"fault": "redirect", "location": "http://127.0.0.1:9/"},
        {"fault": "echo_token", "code": 500},
        {"fault": "slow", "seconds": 0},
        {"fault": "drip", "seconds_per_byte": 0},
        {"fault": "oversized", "size": 100},
        {"fault": "truncated", "times": None},
        {"fault": "reset"},
        {"fault": "late_answer", "seconds": 0},
        {"fault": "lost_answer"},
        {"fault": "lost_request", "seconds": 0, "code": 502},
    ],
)
def test_every_fault_can_be_injected(admin, sim, body):
    assert admin.post("/faults", json=body).status_code == 204
    assert sim.script.next_fault("/").name == body["fault"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/faults", {}, "fault"),
        ("/faults", {"fault": "earthquake"}, "fault"),
        ("/faults", {"fault": ["html"]}, "fault"),
        ("/faults", {"fault": "html", "times": 0}, "times"),
        ("/faults", {"fault": "html", "path": 7}, "path"),
        ("/faults", {"fault": "html", "retry": 5}, "retry"),
        ("/faults", {"fault": "status"}, "code"),
        ("/faults", {"fault": "slow", "seconds": "x"}, "seconds"),
        ("/faults", ["html"], "body"),
        ("/fill", {"seconds": -1}, "seconds"),
        ("/fill", {"minutes": 1}, "minutes"),
        ("/jobs", {"email": 7}, "email"),
        ("/jobs", {"type": ""}, "type"),
        ("/jobs", {"seconds": True}, "seconds"),
        ("/jobs", {"started": "yesterday"}, "started"),
        ("/jobs", {"started": "2024-09-25T01:55:16"}, "started"),
        ("/jobs", {"reply_ref": "x"}, "reply_ref"),
    ],
)
def test_a_bad_body_is_refused_with_the_name_of_the_field(admin, sim, path, body, field):
    answer = admin.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert field in answer.json()["error"]
    assert (sim.free(), sim.script.next_fault("/")) == (6, None)


def test_jobs_can_be_started_and_ended(admin, api, sim):
    body = {
        "email": A,
        "type": "image",
        "seconds": 60,
        "started": "2024-09-25T01:55:16.128Z",
        "replyRef": "r",
    }
    job = admin.post("/jobs", json=body).json()["id"]
    (seen,) = api.get("/scheduler/").json()
    assert (seen["id"], seen["started"], seen["replyRef"]) == (job, "2024-09-25T01:55:16.128Z", "r")
    assert admin.delete(f"/jobs/{job}").status_code == 204
    assert admin.delete(f"/jobs/{job}").status_code == 404
    assert sim.free() == 6


def test_every_slot_can_be_filled_and_freed(admin, sim):
    assert len(admin.post("/fill").json()["ids"]) == 6
    assert admin.post("/jobs").status_code == 429
    assert admin.delete("/jobs").json() == {"ended": 6}
    assert len(admin.post("/fill", json={"seconds": 3600}).json()["ids"]) == 6


def test_an_unknown_account_is_not_found(admin):
    assert admin.post("/jobs", json={"email": "nobody@example.com"}).status_code == 404


def test_the_last_hundred_requests_are_shown_and_all_are_counted_but_not_these(admin, api, sim):
    for _ in range(103):
        api.get("/scheduler/")
    admin.get("/requests")
    shown = admin.get("/requests")
    assert (shown.json()["count"], len(shown.json()["requests"])) == (103, 100)
    assert shown.json()["requests"][-1]["path"] == "/v2/pixverse/scheduler/"
    assert sim.token not in shown.text


def test_faults_and_canned_answers_leave_this_side_alone(admin, sim):
    sim.inject(faults.status(500), times=None)
    sim.respond_with("requests", [])
    assert admin.get("/requests").json() == {"count": 0, "requests": []}
    assert admin.get("/nothing").json() == {"error": "Not Found", "code": 404}
