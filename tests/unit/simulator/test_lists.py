"""The lists of videos, images and sounds of an account."""

from __future__ import annotations

import pytest

A, B = "a-1@example.com", "b@example.com"


def ids(answer, word="video"):
    return [row[f"{word}_id"] for row in answer.json()["data"]]


def test_the_newest_comes_first_whether_tracked_or_not(sim, api):
    ended = api.post("/videos/create", json={"email": A, "prompt": "a cat"}).json()["video_id"]
    sim.end_job(ended)
    running = api.post("/videos/create", json={"email": A}).json()["video_id"]
    waiting = api.post("/videos/create", json={"email": A, "off_peak_mode": True}).json()["video_id"]
    website = sim.start_job(A, website=True)
    api.post("/videos/create", json={"email": B})
    api.post("/images/create", json={"email": A})
    answer = api.get(f"/videos/?email={A.upper()}")
    assert ids(answer) == [website, waiting, running, ended]
    assert [row["video_status_name"] for row in answer.json()["data"]] == [
        "GENERATING",
        "QUEUED",
        "GENERATING",
        "COMPLETED",
    ]
    assert [row["video_status_final"] for row in answer.json()["data"]] == [False, True, False, True]
    assert [bool(row["url"]) for row in answer.json()["data"]] == [True, False, True, True]


def test_a_list_comes_in_pages(sim, api):
    jobs = [sim.start_job(A) for _ in range(3)][::-1]
    assert ids(api.get(f"/videos?email={A}&limit=2")) == jobs[:2]
    assert ids(api.get(f"/videos?email={A}&limit=2&offset=2")) == jobs[2:]
    assert ids(api.get(f"/videos?email={A}&offset=3")) == []


@pytest.mark.parametrize(("kind", "limit"), [("videos", 40), ("images", 50), ("music", 50)])
def test_a_page_has_its_usual_length(sim, api, kind, limit):
    sim.set_max_jobs(A, 60)
    for _ in range(60):
        sim.start_job(A, type=kind.removesuffix("s"))
    assert len(api.get(f"/{kind}/?email={A}").json()["data"]) == limit


@pytest.mark.parametrize("kind", ["images", "music"])
def test_next_offset_goes_on_beyond_the_last_page(api, kind):
    assert api.get(f"/{kind}/?email={A}&limit=5&offset=10").json() == {"data": [], "next_offset": 15}


def test_the_list_of_videos_has_no_next_offset(api):
    assert api.get(f"/videos/?email={A}").json() == {"data": []}


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
