"""Submitting jobs of every kind, and each way in which that can be refused."""

from collections import Counter

import pytest

from tests.unit.simulator.helpers import A, B

VIDEOS = [
    *(f"videos/create{suffix}" for suffix in ("", "-v4", "-v3", "-frames", "-transition", "-fusion")),
    *(f"videos/{name}" for name in ("motion-control", "extend", "modify", "restyle", "upscale/", "lipsync/")),
    "music-video/create",
]


@pytest.mark.parametrize("path", VIDEOS)
def test_a_path_that_makes_a_video_answers_with_its_id(sim, api, path):
    answer = api.post(f"/{path}", json={"email": A})
    assert answer.json() == {"video_id": f"user:1-pixverse:{A}-video:1"}
    assert [(job["type"], job["id"]) for job in api.get("/scheduler/").json()] == [
        ("video", answer.json()["video_id"])
    ]
    assert [job.endpoint for job in sim.jobs] == [path.rstrip("/")]


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("images/create", {}, {"success_ids": [f"user:1-pixverse:{A}-image:1"]}),
        ("videos/create", {"template_id": 2}, {"image_id": f"user:1-pixverse:{A}-image:1"}),
        ("videos/create", {"template_id": 3}, {"video_id": f"user:1-pixverse:{A}-video:1"}),
        ("music/create", {}, {"audio_id": f"user:1-pixverse:{A}-music:1"}),
        ("speech/create", {}, {"audio_id": f"user:1-pixverse:{A}-speech:1"}),
    ],
)
def test_each_kind_has_its_own_answer(api, path, body, answer):
    assert api.post(f"/{path}", json={"email": A} | body).json() == answer


def test_several_images_are_as_many_jobs_of_one_account_or_none(sim, api):
    ids = api.post("/images/create", json={"create_count": 3}).json()["success_ids"]
    assert len({job.email for job in sim.jobs}) == 1
    assert [job.id for job in sim.jobs] == ids
    assert api.post("/images/create", json={"create_count": 4}).status_code == 429
    assert sim.free() == 3


def test_a_submit_takes_a_slot_and_is_kept_and_listed_as_it_was_sent(sim, api):
    reply = {"replyUrl": "https://example.com/cb", "replyRef": "mine"}
    sent = {"email": A, "prompt": "a cat", "seed": 7, "model": "v99", "max_jobs": [1], "off_peak_mode": None}
    api.post("/videos/create", json=sent | reply)
    [job] = sim.submitted()
    assert (job.payload, job.reply_ref, job.seed) == (sent | reply, "mine", 7)
    [listed] = api.get("/scheduler/").json()
    assert {"replyUrl": listed["replyUrl"], "replyRef": listed["replyRef"]} == reply
    assert sim.free(A) == 2


def test_a_full_account_and_a_full_service_answer_429(sim, api):
    for _ in range(3):
        sim.start_job(A)
    refused = api.post("/videos/create", json={"email": A})
    assert (refused.status_code, refused.json()["code"]) == (429, 429)
    assert A in refused.json()["error"]
    assert [api.post("/videos/create").status_code for _ in range(4)] == [200, 200, 200, 429]


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
        ({"prompt": 7}, "prompt"),
        ({"seed": 0}, "seed"),
        ({"seed": 2_147_483_648}, "seed"),
        ({"off_peak_mode": "yes"}, "off_peak_mode"),
        ({"create_count": 5}, "create_count"),
        ([], "body"),
    ],
)
def test_a_bad_field_answers_400_with_its_name_and_starts_nothing(sim, api, body, field):
    answer = api.post("/images/create", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert answer.json()["error"].startswith(f"{field}: ")
    assert (sim.jobs, sim.free()) == ([], 6)


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 60_000, b'"text"'])
def test_a_body_that_is_no_json_object_answers_400(api, body):
    assert api.post("/videos/create", data=body).json()["error"] == "body: must be a JSON object"


@pytest.mark.parametrize(
    ("body", "status"), [({"email": "nobody@example.com"}, 404), ({"prompt": "x" * 1_000_000}, 413)]
)
def test_an_unknown_account_or_a_body_of_a_megabyte_is_refused(sim, api, body, status):
    assert api.post("/videos/create", json=body).status_code == status
    assert sim.free() == 6


def test_an_off_peak_job_takes_no_slot_and_is_not_tracked(sim, api):
    sim.fill()
    sim.set_max_jobs(A, 1)
    answer = api.post("/videos/create", json={"email": A, "off_peak_mode": True})
    assert answer.status_code == 200
    video_id = answer.json()["video_id"]
    assert video_id not in {job["id"] for job in api.get("/scheduler/").json()}
    assert api.delete(f"/scheduler/{video_id}").status_code == 404
    assert api.post("/videos/create", json={"off_peak_mode": False}).status_code == 429


def test_a_job_from_the_website_takes_a_slot_that_looks_free(sim, api):
    jobs = [sim.start_job(A, website=True) for _ in range(3)]
    assert api.delete(f"/scheduler/{jobs[0]}").status_code == 404
    assert api.get("/scheduler/").json() == []
    assert sim.free(A) == 3
    assert api.post("/videos/create", json={"email": A}).status_code == 429
    assert len(sim.fill()) == 3
    assert sim.free(B) == 0


def test_a_refused_prompt_answers_422_and_a_busy_one_429_at_free_slots(sim, api):
    def submit(*prompts):
        return [api.post("/videos/create", json={"prompt": prompt}).status_code for prompt in prompts]

    sim.set_fate("dragon", "refused")
    sim.set_fate("crowd", "busy")
    assert submit("a red dragon", "a crowd", "a cat") == [422, 429, 200]
    assert [job.payload["prompt"] for job in sim.submitted()] == ["a cat"]
    sim.set_fate("dragon", None)
    assert submit("a red dragon", "a crowd") == [200, 429]
    sim.clear_fates()
    assert submit("a crowd") == [200]


def test_an_account_with_a_pending_error_answers_596_and_gets_no_jobs(sim, api):
    sim.set_pending_error(A, "Please sign in again")
    answer = api.post("/videos/create", json={"email": A})
    assert (answer.status_code, answer.json()) == (596, {"error": f"{A}: Please sign in again", "code": 596})
    assert [api.post("/videos/create").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert {job.email for job in sim.jobs} == {B}
    sim.set_pending_error(B, "So do you")
    assert api.post("/videos/create").status_code == 596


@pytest.mark.pixverse_simulator(accounts={A: 8, B: 8}, credits=50, fates={"dragon": "refused"})
def test_credits_are_used_up_by_submits_that_are_not_refused(sim, api):
    assert api.post("/videos/create", json={"email": A, "prompt": "a dragon"}).status_code == 422
    assert api.post("/videos/create", json={"email": A}).json()["cost_credits"] == 20
    assert api.post("/images/create", json={"email": A, "create_count": 2}).status_code == 412
    assert [api.post("/videos/create").status_code for _ in range(4)] == [200, 200, 200, 412]
    assert Counter(job.email for job in sim.jobs) == {A: 2, B: 2}
    assert api.get(f"/features/?email={A}").json()["credit_monthly"] == 10
    sim.set_credits(A, 20)
    assert api.post("/videos/create").status_code == 200
    sim.set_credits(A, None)
    assert "cost_credits" not in api.post("/videos/create").json()
