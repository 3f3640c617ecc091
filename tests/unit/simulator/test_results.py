"""The result of a job, while it runs and after its end, and the lists of results."""

import pytest

from airflow_pixverse.simulator import Simulator
from tests.unit.simulator.helpers import A, B

pytestmark = pytest.mark.pixverse_simulator(accounts={A: 8, B: 3}, job_seconds=(10, 10))


def submit(api, path="videos/create", **body):
    answer = api.post(f"/{path}", json=body).json()
    return answer.get("video_id") or answer.get("audio_id") or answer["success_ids"][0]


def test_a_video_is_not_found_until_it_has_ended(sim, api, web, clock):
    job = submit(api, prompt="a cat", model="v6", seed=7)
    missing = api.get(f"/videos/{job}")
    assert (missing.status_code, missing.json()) == (404, {"error": f"There is no job {job}", "code": 404})
    clock.now += 10
    assert api.get("/scheduler/").json() == []
    url = f"{sim.url}/media/1.mp4"
    assert api.get(f"/videos/{job}").json() == {
        "video_id": job,
        "video_status": 1,
        "video_status_name": "COMPLETED",
        "video_status_final": True,
        "created_at": "2024-11-11T12:34:56Z",
        "prompt": "a cat",
        "model": "v6",
        "seed": 7,
        "url": url,
    }
    assert web.get(url.removeprefix(sim.url)).headers["Content-Type"] == "video/mp4"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("images", ("image", 9, "image_url", "webp")),
        ("music", ("audio", 10, "url", "mp3")),
        ("speech", ("audio", 10, "url", "mp3")),
    ],
)
def test_the_other_kinds_say_that_they_are_generating(sim, api, clock, kind, expected):
    word, generating, url, suffix = expected
    job = submit(api, f"{kind}/create")
    running = api.get(f"/{kind}/{job}").json()
    assert (running[f"{word}_id"], running[f"{word}_status"]) == (job, generating)
    assert (running[f"{word}_status_name"], running[f"{word}_status_final"]) == ("GENERATING", False)
    assert running[url] == ""
    clock.now += 10
    ended = api.get(f"/{kind}/{job}").json()
    assert (ended[f"{word}_status"], ended[f"{word}_status_name"]) == (1, "COMPLETED")
    assert ended[url] == f"{sim.url}/media/1.{suffix}"
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
def test_a_job_can_come_to_a_bad_end(sim, api, kind, word, ending):
    outcome, number = ending
    job = submit(api, f"{kind}/create")
    sim.end_job(job, outcome, "no luck")
    result = api.get(f"/{kind}/{job}").json()
    assert (result[f"{word}_status"], result[f"{word}_status_name"]) == (number, outcome.upper())
    assert result[f"{word}_status_final"] is True
    assert result["fail_reason"] == "no luck"
    assert ("fail_code" in result) == (outcome == "failed")
    assert result.get("url" if word != "image" else "image_url") == ""


def test_a_prompt_can_be_doomed_before_it_is_submitted(sim, api, clock):
    sim.set_fate("dragon", "moderated")
    sim.set_fate("storm", "failed")
    jobs = [submit(api, prompt=prompt) for prompt in ("a dragon", "a storm", "a cat")]
    clock.now += 10
    results = [api.get(f"/videos/{job}").json() for job in jobs]
    assert [r["video_status_name"] for r in results] == ["MODERATED", "FAILED", "COMPLETED"]
    assert results[0]["fail_reason"] == "The video was not made: moderated"


def outcomes(clock, jobs=200, **options):
    """Return how so many jobs end, which are submitted to a simulator with these options."""
    with Simulator({A: 1000}, clock=clock, **options) as sim:
        for n in range(jobs):
            sim.service.submit("video", payload={"prompt": f"{n:03}"}, endpoint="videos/create")
        return [job.outcome for job in sim.submitted()]


def test_a_share_of_jobs_fails_and_the_same_seed_fails_the_same(clock):
    shares = {"failed": 0.3, "moderated": 0.2}
    first = outcomes(clock, seed=1, **shares)
    assert 40 <= first.count("failed") <= 80
    assert 20 <= first.count("moderated") <= 60
    assert outcomes(clock, seed=1, **shares) == first != outcomes(clock, seed=2, **shares)


def test_a_fate_of_one_prompt_does_not_change_those_of_others(clock):
    usual, decided = (outcomes(clock, failed=0.5, fates=fates) for fates in ({}, {"000": "completed"}))
    assert usual[1:] == decided[1:]


def test_a_cancelled_job_goes_on_without_a_slot(sim, api, clock):
    job = submit(api)
    assert api.delete(f"/scheduler/{job}").status_code == 204
    assert (api.get("/scheduler/").json(), sim.free(), sim.jobs[0].tracked) == ([], 11, False)
    assert api.get(f"/videos/{job}").status_code == 404
    assert api.delete(f"/scheduler/{job}").status_code == 404
    clock.now += 10
    assert api.get(f"/videos/{job}").json()["video_status_name"] == "COMPLETED"


@pytest.mark.pixverse_simulator(result_delay=5)
def test_a_result_can_be_late(api, clock):
    job = submit(api)
    clock.now += 14.9
    assert api.get("/scheduler/").json() == []
    assert api.get(f"/videos/{job}").status_code == 404
    clock.now += 0.1
    assert api.get(f"/videos/{job}").json()["video_status_name"] == "COMPLETED"


@pytest.mark.parametrize("with_it", [False, True])
def test_results_carry_the_reply_ref_only_if_told_to(sim, api, clock, with_it):
    job = submit(api, email=A, replyRef="mine")
    clock.now += 10
    sim.results_with_reply_ref = with_it
    for result in (api.get(f"/videos/{job}").json(), api.get(f"/videos/?email={A}").json()["data"][0]):
        assert result.get("replyRef") == ("mine" if with_it else None)


def test_a_video_without_a_seed_gets_one(sim, api, clock):
    jobs = [submit(api) for _ in range(2)]
    clock.now += 10
    first, second = (api.get(f"/videos/{job}").json()["seed"] for job in jobs)
    assert 1 <= first != second <= 2_147_483_647


def test_an_effect_that_makes_an_image_is_found_among_the_videos_too(api, clock):
    job = api.post("/videos/create", json={"template_id": 2}).json()["image_id"]
    clock.now += 10
    result = api.get(f"/videos/{job}").json()
    assert result == api.get(f"/images/{job}").json()
    assert result["image_id"] == job


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *((path, 404) for path in ("videos/{}x", "images/{}", "music/{}", "speech/{}", "files/{}")),
        ("videos/user%3A1-pixverse", 400),
    ],
)
def test_a_job_is_not_found_under_another_path(api, clock, path, status):
    job = submit(api)
    clock.now += 10
    assert api.get("/" + path.format(job)).status_code == status


def test_a_job_belongs_to_the_user_that_the_token_names(sim, connect):
    job, _ = sim.start_job(A), sim.start_job(A)
    sim.end_job(job)
    for token, listed, status in (("user:1-rotated", 1, 200), ("user:22-other", 0, 404)):
        sim.token = token
        assert len(connect(sim).get("/scheduler/").json()) == listed
        assert connect(sim).get(f"/videos/{job}").status_code == status
    own = sim.start_job(A)
    sim.end_job(own)
    assert own.startswith("user:22-pixverse:")
    assert connect(sim).get(f"/videos/{own}").status_code == 200


def test_the_newest_comes_first_whether_tracked_or_not(sim, api):
    ended = submit(api, email=A, prompt="a cat")
    sim.end_job(ended)
    running, waiting = submit(api, email=A), submit(api, email=A, off_peak_mode=True)
    website = sim.start_job(A, website=True)
    submit(api, email=B)
    submit(api, "images/create", email=A)
    rows = api.get(f"/videos/?email={A.upper()}").json()["data"]
    columns = ("video_id", "video_status_name", "video_status_final")
    assert [(*map(row.get, columns), bool(row["url"])) for row in rows] == [
        (website, "GENERATING", False, True),
        (waiting, "QUEUED", True, False),
        (running, "GENERATING", False, True),
        (ended, "COMPLETED", True, True),
    ]


def test_a_list_comes_in_pages(sim, api):
    jobs = [sim.start_job(A) for _ in range(3)][::-1]
    for query, page in (("limit=2", jobs[:2]), ("limit=2&offset=2", jobs[2:]), ("offset=3", [])):
        rows = api.get(f"/videos?email={A}&{query}").json()["data"]
        assert [row["video_id"] for row in rows] == page


@pytest.mark.parametrize(("kind", "limit"), [("videos", 40), ("images", 50), ("music", 50)])
def test_a_page_has_its_usual_length(sim, api, kind, limit):
    sim.set_max_jobs(A, 60)
    for _ in range(60):
        sim.start_job(A, type=kind.removesuffix("s"))
    assert len(api.get(f"/{kind}/?email={A}").json()["data"]) == limit


@pytest.mark.parametrize(
    ("kind", "more"), [("images", {"next_offset": 15}), ("music", {"next_offset": 15}), ("videos", {})]
)
def test_next_offset_goes_on_beyond_the_last_page_except_for_videos(api, kind, more):
    assert api.get(f"/{kind}/?email={A}&limit=5&offset=10").json() == {"data": []} | more


def test_music_and_speech_share_a_list(api):
    for path in ("music/create", "speech/create"):
        api.post(f"/{path}", json={"email": A})
    rows = api.get(f"/music/?email={A}").json()["data"]
    assert [row["create_mode"] for row in rows] == ["voice", "music"]


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("", 400, "email"),
        ("?email=nobody@example.com", 404, "email"),
        (f"?email={A}&limit=0", 400, "limit"),
        (f"?email={A}&limit=x", 400, "limit"),
        (f"?email={A}&offset=-1", 400, "offset"),
    ],
)
def test_a_bad_query_is_refused_by_name(api, query, status, field):
    answer = api.get(f"/videos/{query}")
    assert (answer.status_code, answer.json()["error"].split(": ")[0]) == (status, field)
