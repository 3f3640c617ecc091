"""The jobs that a test counts and waits for, and their fates."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_pixverse.simulator.errors import UnknownJobError
from airflow_pixverse.simulator.jobs import MAX_FATES, Job, JobList
from tests.unit.simulator.helpers import A


def test_jobs_are_counted_by_their_payload_ended_or_not(sim, api, admin):
    for prompt, seed in (("a cat", 1), ("a dog", 2), ("a cat", 3)):
        api.post("/videos/create", json={"prompt": prompt, "seed": seed})
    sim.start_job()
    sim.end_job(sim.jobs[0].id)
    assert len(sim.jobs) == 4
    assert [job.seed for job in sim.submitted()] == [1, 2, 3]
    assert [job.seed for job in sim.submitted(prompt="a cat")] == [1, 3]
    assert [job.payload["prompt"] for job in sim.submitted(seed=2)] == ["a dog"]
    assert sim.submitted(prompt="a cat", seed=2) == sim.submitted(replyRef="none") == []
    shown = {
        "id": sim.jobs[2].id,
        "type": "video",
        "email": sim.jobs[2].email,
        "endpoint": "videos/create",
        "payload": {"prompt": "a cat", "seed": 3},
        "status": "GENERATING",
        "tracked": True,
    }
    assert admin.get("/jobs", params={"prompt": "a cat", "seed": 3}).json() == {"count": 1, "jobs": [shown]}


def test_ending_all_jobs_ends_untracked_jobs_too(sim, api):
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


def test_a_waiting_test_continues_when_a_job_is_submitted(sim, api):
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(sim.wait_for_submitted, 1, timeout=60)
        while not sim.service._grew._waiters:
            time.sleep(0)
        api.post("/videos/create")
        waiting.result(timeout=30)


def test_no_more_than_a_thousand_fates_can_be_set(sim):
    for n in range(MAX_FATES):
        sim.set_fate(f"prompt {n}", "busy")
    with pytest.raises(ValueError, match=r"^fate: 1000 are set already"):
        sim.set_fate("one more", "busy")
    sim.set_fate("prompt 0", "failed")
    sim.clear_fates()
    sim.set_fate("one more", "busy")
