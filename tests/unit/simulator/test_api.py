"""The API's own calls, seen by a customer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_pixverse.simulator import Simulator

A, B = "a-1@example.com", "b@example.com"
MOMENT = datetime(2024, 9, 25, 1, 55, 16, 128_000, tzinfo=UTC)


@pytest.fixture
def frozen():
    with Simulator({A: 3}, clock=(MOMENT + timedelta(minutes=3, seconds=57.9)).timestamp) as simulator:
        yield simulator


REPLY = {"replyUrl": None, "replyRef": "r"}
WHEN = {"started": "2024-09-25T01:55:16.128Z", "elapsed": "03:57"}
ID = "user:1-pixverse:a-1@example.com-video:1"


@pytest.mark.parametrize(
    ("schema", "listed", "with_capacity"),
    [
        ("2024-12-06", {"videoId": ID}, {"video_id": ID}),
        ("2026-03-09", {"id": ID, "type": "video"}, {"id": ID, "type": "video"}),
        ("2026-06-24", {"id": ID, "type": "video"}, {"id": ID, "type": "video"}),
    ],
)
def test_jobs_are_written_as_in_the_chosen_revision(frozen, connect, schema, listed, with_capacity):
    frozen.schema = schema
    frozen.start_job(A, started=MOMENT, reply_ref="r")
    api = connect(frozen)
    assert api.get("/scheduler/").json() == [listed | WHEN | REPLY]
    assert api.get("/scheduler/available").json() == {
        "executing": [with_capacity | WHEN | REPLY],
        "available": [{"email": A, "maxJobs": 3, "executing": 1, "available": 2}],
    }


def test_minutes_of_elapsed_go_on_past_an_hour_and_do_not_run_backwards(frozen, connect):
    frozen.start_job(A, started=MOMENT - timedelta(hours=2))
    frozen.start_job(A, started=MOMENT + timedelta(hours=2))
    assert [job["elapsed"] for job in connect(frozen).get("/scheduler/").json()] == ["123:57", "00:00"]


@pytest.mark.parametrize(
    ("schema", "types"), [("2026-03-09", {"video", "image"}), ("2026-06-24", {"video", "image", "music"})]
)
def test_other_people_submit_the_types_of_job_the_revision_knows(connect, schema, types):
    times = iter([0.0])
    with Simulator({A: 1000}, schema=schema, arrivals=60, clock=lambda: next(times, 600.0)) as simulator:
        assert {job["type"] for job in connect(simulator).get("/scheduler/").json()} == types


@pytest.mark.parametrize(
    "path", ["/scheduler", "/scheduler/", "/scheduler/available", "/scheduler/available/"]
)
def test_a_slash_at_the_end_makes_no_difference(api, path):
    assert api.get(path).status_code == 200


@pytest.mark.parametrize("token", ["", "user:1-tes", "user:1-test2", "USER:1-TEST"])
def test_anything_but_the_exact_token_is_unauthorized(sim, connect, token):
    answer = connect(sim, token).get("/scheduler/")
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized", "code": 401})


def test_a_replaced_token_is_the_only_one_that_works(sim, api, connect):
    sim.token = "user:1-new"
    assert api.get("/scheduler/").status_code == 401
    assert connect(sim).get("/scheduler/").status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/scheduler/available/more", "/scheduler//"])
def test_an_unknown_path_is_not_found(api, path):
    answer = api.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": "Not Found", "code": 404})


def test_outside_the_api_nothing_is_found_with_or_without_a_token(sim, connect):
    assert connect(sim, "", path="").get("/").json() == {"error": "Not Found", "code": 404}


def test_a_method_that_is_not_for_a_path_is_refused(api):
    assert api.put("/scheduler/").json() == {"error": "Method Not Allowed", "code": 405}


def test_a_submitted_video_takes_a_slot_and_shows_up_with_what_was_sent_along(sim, api):
    sent = {
        "email": A,
        "replyUrl": "https://example.com/cb",
        "replyRef": "mine",
        "prompt": "a cat",
        "model": "v99",
    }
    video_id = api.post("/videos/create", json=sent).json()["video_id"]
    (job,) = api.get("/scheduler/").json()
    assert (job["id"], job["type"]) == (video_id, "video")
    assert (job["replyUrl"], job["replyRef"]) == ("https://example.com/cb", "mine")
    assert sim.free(A) == 2


def test_an_image_answers_with_a_list_of_ids_and_a_submit_needs_no_body(sim, api):
    (image_id,) = api.post("/images/create").json()["success_ids"]
    assert image_id in {f"user:1-pixverse:{email}-image:1" for email in (A, B)}


def test_submitting_to_a_full_account_or_service_answers_429(sim, api):
    for _ in range(3):
        sim.start_job(A)
    refused = api.post("/videos/create", json={"email": A})
    assert (refused.status_code, refused.json()["code"]) == (429, 429)
    assert A in refused.json()["error"]
    assert api.post("/videos/create").status_code == 200
    sim.fill()
    assert api.post("/videos/create").status_code == 429


def test_submitting_to_an_unknown_account_answers_404(api):
    answer = api.post("/videos/create", json={"email": "nobody@example.com"})
    assert (answer.status_code, answer.json()["code"]) == (404, 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"maxJobs": 0}, "maxJobs"),
        ({"maxJobs": 9}, "maxJobs"),
        ({"maxJobs": "3"}, "maxJobs"),
        ({"maxJobs": True}, "maxJobs"),
        ({"email": 7}, "email"),
        ({"replyUrl": "x" * 1025}, "replyUrl"),
        ({"replyRef": ["x"]}, "replyRef"),
        ([], "body"),
    ],
)
def test_a_bad_field_answers_400_with_its_name_and_takes_no_slot(sim, api, body, field):
    answer = api.post("/videos/create", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert answer.json()["error"].startswith(f"{field}: ")
    assert sim.free() == 6


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 60_000, b'"text"'])
def test_a_body_that_is_no_json_object_answers_400(api, body):
    assert api.post("/videos/create", data=body).json()["error"] == "body: must be a JSON object"


def test_a_body_of_a_megabyte_answers_413(sim, api):
    assert api.post("/videos/create", json={"prompt": "x" * 1_000_000}).status_code == 413
    assert sim.free() == 6


def test_cancelling_stops_the_tracking_of_a_job_once(sim, api):
    job = sim.start_job(A)
    assert api.delete(f"/scheduler/{job}").status_code == 204
    assert sim.free(A) == 3
    again = api.delete(f"/scheduler/{job}")
    assert (again.status_code, again.json()["code"]) == (404, 404)
    assert job in again.json()["error"]


def test_a_percent_encoded_id_answers_400_as_the_service_does(sim, api):
    job = sim.start_job(A)
    assert api.delete(f"/scheduler/{job.replace(':', '%3A').replace('@', '%40')}").status_code == 400
    assert sim.free(A) == 2
