"""Jobs, faults and accounts, controlled over HTTP."""

import hashlib

import pytest

from airflow_pixverse.simulator import faults
from tests.unit.simulator.helpers import A, B


def test_a_fault_can_be_injected_for_some_requests_and_cleared(admin, sim, api):
    body = {"fault": "rate_limit", "retry_after": 5, "times": 3, "path": "available"}
    assert admin.post("/faults", json=body).status_code == 204
    limited = api.get("/scheduler/available")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "5")
    assert api.get("/scheduler/").status_code == 200
    assert admin.delete("/faults").status_code == 204
    assert api.get("/scheduler/available").status_code == 200
    admin.post("/faults", json={"fault": "status", "code": 500, "share": 0, "times": None})
    admin.post("/faults", json={"fault": "lost_answer", "code": 504, "method": "POST", "times": None})
    assert api.get("/scheduler/").status_code == 200
    assert api.post("/videos/create").status_code == 504
    assert len(sim.submitted()) == 1


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


def test_every_slot_can_be_filled_and_freed(admin, sim):
    assert len(admin.post("/fill").json()["ids"]) == 6
    assert admin.post("/jobs").status_code == 429
    assert admin.delete("/jobs").json() == {"ended": 6}
    assert len(admin.post("/fill", json={"seconds": 3600}).json()["ids"]) == 6


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
    assert admin.delete(f"/jobs/{job}", json={"outcome": "lost"}).status_code == 400
    assert sim.free() == 5
    assert [admin.delete(f"/jobs/{job}").status_code for _ in range(2)] == [204, 404]
    assert sim.free() == 6


@pytest.mark.parametrize("path", ["/jobs", "/accounts"])
def test_an_unknown_account_is_not_found(admin, path):
    assert admin.post(path, json={"email": "nobody@example.com"}).status_code == 404


@pytest.mark.pixverse_simulator(accounts={A: 200})
def test_the_last_hundred_requests_jobs_and_uploads_are_shown_and_all_are_counted(admin, api, sim):
    for number in range(103):
        sim.service.submit("video", endpoint="videos/create")
        api.post("/files/", data=f"file {number}", headers={"Content-Type": "image/png"})
    logs = {name: admin.get(f"/{name}").json() for name in ("requests", "jobs", "uploads")}
    last = {}
    for name, log in logs.items():
        assert (log["count"], len(log[name])) == (103, 100), "the requests of this test are not counted"
        last[name] = log[name][-1]
    assert last["requests"]["path"] == "/v2/pixverse/files/"
    assert last["jobs"]["id"] == sim.jobs[-1].id
    assert (last["uploads"]["path"], last["uploads"]["size"]) == ("upload/103.png", 8)
    assert last["uploads"]["sha256"] == hashlib.sha256(b"file 102").hexdigest()
    assert sim.submitted_count == 103
    assert sim.token not in str(logs)


def test_faults_and_canned_answers_leave_this_side_alone(admin, sim):
    sim.inject(faults.status(500), times=None)
    sim.respond_with("requests", [])
    assert admin.get("/requests").json() == {"count": 0, "requests": []}
    assert admin.get("/nothing").json() == {"error": "Not Found", "code": 404}


def test_the_outcome_of_a_job_can_be_decided(sim, api, admin):
    job = admin.post("/jobs", json={"email": A, "outcome": "failed", "reason": "no luck"}).json()["id"]
    assert admin.delete(f"/jobs/{job}").status_code == 204
    assert api.get(f"/videos/{job}").json()["fail_reason"] == "no luck"
    job = admin.post("/jobs", json={"email": A}).json()["id"]
    assert admin.delete(f"/jobs/{job}", json={"outcome": "moderated"}).status_code == 204
    assert api.get(f"/videos/{job}").json()["video_status_name"] == "MODERATED"
    admin.post("/jobs", json={"email": B, "website": True})
    assert (sim.free(B), [job.tracked for job in sim.jobs]) == (3, [True, True, False])


def test_the_fate_of_a_prompt_can_be_decided_and_removed(api, admin):
    fate = {"prompt": "dragon", "fate": "refused"}
    for change, submitted in (
        (lambda: admin.post("/fates", json=fate), 422),
        (lambda: admin.post("/fates", json=fate | {"fate": None}), 200),
        (lambda: admin.post("/fates", json=fate | {"fate": "busy"}), 429),
        (lambda: admin.delete("/fates"), 200),
    ):
        assert change().status_code == 204
        assert api.post("/videos/create", json={"prompt": "a dragon"}).status_code == submitted


def test_an_account_is_changed_over_http_only_in_what_is_named(sim, api, admin):
    changes = {"pendingError": "Please sign in again", "credits": 19, "expires": "2024-01-01T00:00:00Z"}
    assert admin.post("/accounts", json={"email": A} | changes).status_code == 204
    assert api.post("/videos/create", json={"email": A}).status_code == 596
    assert admin.post("/accounts", json={"email": A, "pendingError": None}).status_code == 204
    features = api.get(f"/features/?email={A}").json()
    assert (features["credit_monthly"], features["expired_date"]) == (19, "2024-01-01T00:00:00Z")
    assert api.post("/videos/create", json={"email": A}).status_code == 412
    assert admin.post("/accounts", json={"email": A, "credits": None, "maxJobs": 1}).status_code == 204
    assert [api.post("/videos/create", json={"email": A}).status_code for _ in range(2)] == [200, 429]
