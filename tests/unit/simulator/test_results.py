"""Asking for the result of a job, while it runs and however it has ended."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_pixverse.simulator import Simulator
from tests.unit.simulator.clock import Clock

A, B = "a-1@example.com", "b@example.com"
MOMENT = datetime(2024, 11, 11, 12, 34, 56, tzinfo=UTC)


@pytest.fixture
def clock():
    return Clock(MOMENT.timestamp())


@pytest.fixture
def quiet(clock):
    """One account whose jobs run for ten seconds, on a clock that only moves when told to."""
    with Simulator({A: 8}, clock=clock, job_seconds=(10, 10)) as simulator:
        yield simulator


def submit(api, path="videos/create", **body):
    answer = api.post(f"/{path}", json=body).json()
    return answer.get("video_id") or answer.get("audio_id") or answer["success_ids"][0]


def test_a_video_is_not_found_until_it_has_ended(quiet, connect, clock):
    api = connect(quiet)
    job = submit(api, prompt="a cat", model="v6", seed=7)
    missing = api.get(f"/videos/{job}")
    assert (missing.status_code, missing.json()) == (404, {"error": f"There is no job {job}", "code": 404})
    clock.now += 10
    assert api.get("/scheduler/").json() == []
    assert api.get(f"/videos/{job}").json() == {
        "video_id": job,
        "video_status": 1,
        "video_status_name": "COMPLETED",
        "video_status_final": True,
        "created_at": "2024-11-11T12:34:56Z",
        "prompt": "a cat",
        "model": "v6",
        "seed": 7,
        "url": f"{quiet.url}/media/1.mp4",
    }


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("images", ("image", 9, "image_url", "webp")),
        ("music", ("audio", 10, "url", "mp3")),
        ("speech", ("audio", 10, "url", "mp3")),
    ],
)
def test_the_other_kinds_say_that_they_are_generating(quiet, connect, clock, kind, expected):
    word, generating, url, suffix = expected
    api = connect(quiet)
    job = submit(api, f"{kind}/create")
    running = api.get(f"/{kind}/{job}").json()
    assert (running[f"{word}_id"], running[f"{word}_status"]) == (job, generating)
    assert (running[f"{word}_status_name"], running[f"{word}_status_final"]) == ("GENERATING", False)
    assert running[url] == ""
    clock.now += 10
    ended = api.get(f"/{kind}/{job}").json()
    assert (ended[f"{word}_status"], ended[f"{word}_status_name"]) == (1, "COMPLETED")
    assert ended[url] == f"{quiet.url}/media/1.{suffix}"
    assert ("seed" in ended) == (word == "image")


@pytest.mark.parametrize(
    ("kind", "word", "ending"),
    [
        ("videos", "video", ("failed", 8)),
        ("videos", "video", ("moderated", 7)),
        ("images", "image", ("moderated", 7)),
        ("music", "audio", ("failed", 8)),
    ],
)
def test_a_job_can_come_to_a_bad_end(quiet, connect, kind, word, ending):
    outcome, number = ending
    api = connect(quiet)
    job = submit(api, f"{kind}/create")
    quiet.end_job(job, outcome, "no luck")
    result = api.get(f"/{kind}/{job}").json()
    assert (result[f"{word}_status"], result[f"{word}_status_name"]) == (number, outcome.upper())
    assert result[f"{word}_status_final"] is True
    assert result["fail_reason"] == "no luck"
    assert ("fail_code" in result) == (outcome == "failed")
    assert result.get("url" if word != "image" else "image_url") == ""


def test_a_prompt_can_be_doomed_before_it_is_submitted(quiet, connect, clock):
    api = connect(quiet)
    quiet.set_fate("dragon", "moderated")
    quiet.set_fate("storm", "failed")
    jobs = [submit(api, prompt=prompt) for prompt in ("a dragon", "a storm", "a cat")]
    clock.now += 10
    results = [api.get(f"/videos/{job}").json() for job in jobs]
    assert [r["video_status_name"] for r in results] == ["MODERATED", "FAILED", "COMPLETED"]
    assert results[0]["fail_reason"] == "The video was not made: moderated"


def test_a_share_of_jobs_fails_and_the_same_seed_fails_the_same(connect, clock):
    def outcomes(seed):
        with Simulator({A: 1000}, failed=0.3, moderated=0.2, seed=seed, clock=clock) as sim:
            for n in range(200):
                sim.service.submit("video", payload={"prompt": str(n)}, endpoint="videos/create")
            return [job.outcome for job in sim.submitted()]

    first = outcomes(1)
    assert 40 <= first.count("failed") <= 80
    assert 20 <= first.count("moderated") <= 60
    assert outcomes(1) == first != outcomes(2)


def test_a_fate_of_one_prompt_does_not_change_those_of_others(clock):
    def outcomes(**fates):
        with Simulator({A: 1000}, failed=0.5, fates=fates, clock=clock) as sim:
            for n in range(50):
                sim.service.submit("video", payload={"prompt": f"{n:02}"}, endpoint="videos/create")
            return [job.outcome for job in sim.submitted()]

    assert outcomes()[1:] == outcomes(**{"00": "completed"})[1:]


def test_a_cancelled_job_goes_on_without_a_slot(quiet, connect, clock):
    api = connect(quiet)
    job = submit(api)
    assert api.delete(f"/scheduler/{job}").status_code == 204
    assert (api.get("/scheduler/").json(), quiet.free()) == ([], 8)
    assert api.get(f"/videos/{job}").status_code == 404
    assert api.delete(f"/scheduler/{job}").status_code == 404
    clock.now += 10
    assert api.get(f"/videos/{job}").json()["video_status_name"] == "COMPLETED"


def test_a_result_can_be_late(connect, clock):
    with Simulator({A: 1}, clock=clock, job_seconds=(10, 10), result_delay=5) as sim:
        api = connect(sim)
        job = submit(api)
        clock.now += 14.9
        assert api.get("/scheduler/").json() == []
        assert api.get(f"/videos/{job}").status_code == 404
        clock.now += 0.1
        assert api.get(f"/videos/{job}").json()["video_status_name"] == "COMPLETED"


@pytest.mark.parametrize("with_it", [False, True])
def test_results_carry_the_reply_ref_only_if_told_to(quiet, connect, clock, with_it):
    api = connect(quiet)
    job = submit(api, replyRef="mine")
    clock.now += 10
    quiet.results_with_reply_ref = with_it
    for result in (api.get(f"/videos/{job}").json(), api.get("/videos/").json()["data"][0]):
        assert result.get("replyRef") == ("mine" if with_it else None)


def test_a_video_without_a_seed_gets_one(quiet, connect, clock):
    api = connect(quiet)
    jobs = [submit(api) for _ in range(2)]
    clock.now += 10
    first, second = (api.get(f"/videos/{job}").json()["seed"] for job in jobs)
    assert 1 <= first != second <= 2_147_483_647


def test_an_effect_that_makes_an_image_is_found_among_the_videos_too(quiet, connect, clock):
    api = connect(quiet)
    job = api.post("/videos/create", json={"template_id": 2}).json()["image_id"]
    clock.now += 10
    assert api.get(f"/videos/{job}").json() == api.get(f"/images/{job}").json()
    assert api.get(f"/videos/{job}").json()["image_id"] == job


@pytest.mark.parametrize("path", ["videos/{}x", "images/{}", "music/{}", "speech/{}", "files/{}"])
def test_a_job_that_is_not_there_is_not_found(quiet, connect, clock, path):
    api = connect(quiet)
    job = submit(api)
    clock.now += 10
    assert api.get("/" + path.format(job)).status_code == 404


def test_a_percent_encoded_id_answers_400(quiet, connect, clock):
    api = connect(quiet)
    job = submit(api)
    clock.now += 10
    assert api.get(f"/videos/{job.replace(':', '%3A')}").status_code == 400


def test_the_url_of_a_result_leads_to_the_simulator(quiet, connect, clock):
    api = connect(quiet)
    job = submit(api)
    clock.now += 10
    url = api.get(f"/videos/{job}").json()["url"]
    answer = connect(quiet, "", path="").get(url.removeprefix(quiet.url))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "video/mp4")
