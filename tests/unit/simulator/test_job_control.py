"""Counting what was submitted, and deciding what becomes of it, from a test and over HTTP."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from airflow_pixverse.simulator import Simulator, faults
from airflow_pixverse.simulator.fates import MAX_FATES
from airflow_pixverse.simulator.joblist import JobList
from airflow_pixverse.simulator.state import Job, UnknownJobError

A, B = "a-1@example.com", "b@example.com"


def test_jobs_are_counted_by_what_was_submitted(sim, api, admin):
    for prompt, seed in (("a cat", 1), ("a dog", 2), ("a cat", 3)):
        api.post("/videos/create", json={"prompt": prompt, "seed": seed})
    sim.start_job()
    assert len(sim.jobs) == 4
    assert [job.seed for job in sim.submitted()] == [1, 2, 3]
    assert [job.seed for job in sim.submitted(prompt="a cat")] == [1, 3]
    assert [job.payload["prompt"] for job in sim.submitted(seed=2)] == ["a dog"]
    assert sim.submitted(prompt="a cat", seed=2) == sim.submitted(replyRef="none") == []
    assert admin.get("/jobs", params={"prompt": "a cat", "seed": 3}).json() == {
        "count": 1,
        "jobs": [
            {
                "id": sim.jobs[2].id,
                "type": "video",
                "email": sim.jobs[2].email,
                "endpoint": "videos/create",
                "payload": {"prompt": "a cat", "seed": 3},
                "status": "GENERATING",
                "tracked": True,
            }
        ],
    }


def test_the_last_hundred_are_shown_and_all_are_counted(connect):
    with Simulator({A: 200}) as sim:
        for _ in range(103):
            sim.service.submit("video", endpoint="videos/create")
        shown = connect(sim, "", path="/simulator").get("/jobs").json()
        assert (shown["count"], len(shown["jobs"]), sim.submitted_count) == (103, 100, 103)
        assert shown["jobs"][-1]["id"] == sim.jobs[-1].id


def test_jobs_that_have_ended_are_still_counted(sim, api):
    api.post("/videos/create", json={"prompt": "a cat"})
    sim.end_all_jobs()
    api.post("/videos/create", json={"prompt": "a cat"})
    assert len(sim.submitted(prompt="a cat")) == 2


def test_ending_all_jobs_ends_those_that_nobody_tracks_too(sim, api):
    api.post("/videos/create", json={"off_peak_mode": True})
    sim.start_job(website=True)
    cancelled = sim.start_job()
    api.delete(f"/scheduler/{cancelled}")
    sim.end_job(sim.start_job())
    assert (sim.end_all_jobs(), sim.end_all_jobs()) == (3, 0)
    assert {sim.service.status(job) for job in sim.jobs} == {"COMPLETED"}


def test_no_more_jobs_without_a_slot_are_kept_than_the_limit():
    jobs = JobList(limit=2)
    for n in range(1, 5):
        jobs.add(Job(str(n), n, "video", A, 0, 10))
    jobs.end_due(5)
    assert len(jobs.known()) == 4
    for n in range(1, 4):
        jobs.end(str(n), n, None, None)
    assert [job.id for job in jobs.known()] == ["2", "3", "4"]
    with pytest.raises(UnknownJobError):
        jobs.find("1")
    assert jobs.tracked() == [jobs.find("4")]


def test_waiting_for_submitted_jobs_ends_when_they_are_accepted_whoever_learns_of_it(sim, api):
    sim.inject(faults.late_answer(3600))
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(api.post, "/videos/create")
        sim.wait_for_submitted(1)
        assert (len(sim.submitted()), asking.done()) == (1, False)
        sim.stop()
        assert asking.exception(timeout=60)


def test_who_waits_already_learns_of_a_submitted_job_at_once(sim, api):
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(sim.wait_for_submitted, 1, timeout=60)
        while not sim.service._grew._waiters:
            time.sleep(0)
        api.post("/videos/create")
        waiting.result(timeout=30)


def test_waiting_for_jobs_that_are_not_submitted_times_out(sim, api):
    api.post("/videos/create")
    sim.start_job()
    sim.wait_for_submitted(1)
    with pytest.raises(TimeoutError, match="1 of 2"):
        sim.wait_for_submitted(2, timeout=0.01)


def test_everything_a_test_can_do_can_be_done_over_http(sim, api, admin):
    job = admin.post("/jobs", json={"email": A, "outcome": "failed", "reason": "no luck"}).json()["id"]
    assert admin.delete(f"/jobs/{job}").status_code == 204
    assert api.get(f"/videos/{job}").json()["fail_reason"] == "no luck"

    job = admin.post("/jobs", json={"email": A}).json()["id"]
    assert admin.delete(f"/jobs/{job}", json={"outcome": "moderated"}).status_code == 204
    assert api.get(f"/videos/{job}").json()["video_status_name"] == "MODERATED"

    admin.post("/jobs", json={"email": B, "website": True})
    assert (sim.free(B), [job.tracked for job in sim.jobs]) == (3, [True, True, False])

    assert admin.post("/fates", json={"prompt": "dragon", "fate": "refused"}).status_code == 204
    assert api.post("/videos/create", json={"prompt": "a dragon"}).status_code == 422
    assert admin.post("/fates", json={"prompt": "dragon", "fate": None}).status_code == 204
    assert api.post("/videos/create", json={"prompt": "a dragon"}).status_code == 200
    admin.post("/fates", json={"prompt": "dragon", "fate": "busy"})
    assert admin.delete("/fates").status_code == 204
    assert api.post("/videos/create", json={"prompt": "a dragon"}).status_code == 200


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


def test_a_fault_over_http_can_be_for_one_method_and_a_share(admin, sim, api):
    admin.post("/faults", json={"fault": "lost_answer", "code": 504, "method": "POST", "times": None})
    assert api.get("/scheduler/").status_code == 200
    assert api.post("/videos/create").status_code == 504
    assert len(sim.submitted()) == 1
    admin.delete("/faults")
    admin.post("/faults", json={"fault": "status", "code": 500, "share": 0, "times": None})
    assert api.get("/scheduler/").status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/jobs", {"outcome": "lost"}, "outcome"),
        ("/jobs", {"website": 1}, "website"),
        ("/fates", {"prompt": "x", "fate": "lost"}, "fate"),
        ("/fates", {"prompt": "", "fate": "busy"}, "prompt"),
        ("/fates", {"prompt": "x"}, "fate"),
        ("/accounts", {"credits": 5}, "email"),
        ("/accounts", {"email": A, "credits": -1}, "credits"),
        ("/accounts", {"email": A, "maxJobs": None}, "maxJobs"),
        ("/accounts", {"email": A, "expires": "soon"}, "expires"),
        ("/accounts", {"email": A, "password": "x"}, "password"),
        ("/faults", {"fault": "html", "share": 2}, "share"),
        ("/faults", {"fault": "html", "method": 7}, "method"),
        ("/faults", {"fault": "lost_answer", "code": 99}, "code"),
    ],
)
def test_a_bad_body_is_refused_with_the_name_of_the_field(admin, sim, path, body, field):
    answer = admin.post(path, json=body)
    assert (answer.status_code, answer.json()["error"].split(": ")[0]) == (400, field)
    assert (sim.jobs, sim.script.next_fault("/")) == ([], None)


def test_a_job_does_not_end_with_an_outcome_that_there_is_not(admin, sim):
    job = sim.start_job()
    assert admin.delete(f"/jobs/{job}", json={"outcome": "lost"}).status_code == 400
    assert sim.free() == 5


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda sim: sim.start_job(outcome="lost"), "outcome"),
        (lambda sim: sim.set_fate("x", "lost"), "fate"),
        (lambda sim: sim.set_fate("", "busy"), "prompt"),
        (lambda sim: sim.set_pending_error(A, ""), "pending_error"),
        (lambda sim: sim.set_credits(A, -1), "credits"),
        (lambda sim: sim.set_expiry(A, datetime(2024, 1, 1)), "expires"),
        (lambda sim: sim.inject(faults.html(), share=1.1), "share"),
        (lambda _: Simulator(failed=0.6, moderated=0.6), "moderated"),
        (lambda _: Simulator(failed=-0.1), "failed"),
        (lambda _: Simulator(fates={"x": "lost"}), "fate"),
        (lambda _: Simulator(credits=1.5), "credits"),
        (lambda _: Simulator(result_delay=-1), "result_delay"),
    ],
)
def test_what_cannot_be_used_is_refused_under_its_name(sim, call, field):
    with pytest.raises(ValueError, match=f"^{field}: "):
        call(sim)


def test_no_more_than_a_thousand_fates_can_be_set(sim):
    for n in range(MAX_FATES):
        sim.set_fate(f"prompt {n}", "busy")
    with pytest.raises(ValueError, match=r"^fate: 1000 are set already"):
        sim.set_fate("one more", "busy")
    sim.set_fate("prompt 0", "failed")
    sim.clear_fates()
    sim.set_fate("one more", "busy")
