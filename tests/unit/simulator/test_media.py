"""Downloading the files of results."""

from __future__ import annotations

import hashlib
import struct

import pytest

from airflow_pixverse.simulator import Simulator, faults

SIZES = [None, 2048, 2049, 300_007]


def make(sim, job_type="video"):
    """Complete a job, and return its id."""
    job = sim.start_job(type=job_type)
    sim.end_job(job)
    return job


@pytest.fixture
def web(sim, connect):
    """Somebody without a token, whose paths begin at the origin."""
    return connect(sim, "", path="")


def mp4_boxes(content):
    """Return the names of the boxes of a file, and where the last of them ends."""
    names, place = [], 0
    while place + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, place)
        names.append(name.decode())
        place += size
    return names, place


def riff_chunks(content):
    """Return the names of the chunks of a file, and where the last of them ends."""
    names, place = [], 12
    while place + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, place)
        names.append(name.decode())
        place += 8 + size + size % 2
    return names, place


@pytest.mark.parametrize("size", SIZES)
def test_a_video_is_an_mp4(sim, web, size):
    sim.media_bytes = size
    make(sim)
    answer = web.get("/media/1.mp4")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "video/mp4")
    boxes, end = mp4_boxes(answer.content)
    assert (boxes[0], boxes[-1], end) == ("ftyp", "free", len(answer.content))
    assert {"moov", "mdat"} <= set(boxes)


@pytest.mark.parametrize("size", SIZES)
def test_an_image_is_a_webp(sim, web, size):
    sim.media_bytes = size
    make(sim, "image")
    answer = web.get("/media/1.webp")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/webp")
    riff, length, webp = struct.unpack_from("<4sI4s", answer.content)
    assert (riff, webp) == (b"RIFF", b"WEBP")
    assert 0 <= len(answer.content) - 8 - length <= 1
    assert riff_chunks(answer.content) == (["VP8X", "VP8L", "FILL"], 8 + length)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("job_type", ["music", "speech"])
def test_a_sound_is_an_mp3(sim, web, job_type, size):
    sim.media_bytes = size
    make(sim, job_type)
    answer = web.get("/media/1.mp3")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "audio/mpeg")
    assert answer.content[:3] == b"ID3"
    frames = answer.content[10 + (answer.content[8] << 7) + answer.content[9] :]
    assert frames
    assert len(frames) % 96 == 0
    assert {frames[place : place + 4] for place in range(0, len(frames), 96)} == {b"\xff\xfb\x14\xc0"}
    assert frames.count(b"\xff") == len(frames) // 96


@pytest.mark.parametrize("job_type", ["video", "image", "music"])
@pytest.mark.parametrize("size", SIZES)
def test_what_a_download_must_come_to_is_known(sim, web, admin, job_type, size):
    sim.media_bytes = size
    job = make(sim, job_type)
    suffix = {"video": "mp4", "image": "webp", "music": "mp3"}[job_type]
    answer = web.get(f"/media/1.{suffix}")
    expected = hashlib.sha256(answer.content).hexdigest()
    assert sim.media_sha256(job) == expected
    assert sim.media_size(job) == len(answer.content) == int(answer.headers["Content-Length"])
    assert size in {None, len(answer.content)}
    assert admin.get(f"/media/{job}").json() == {"size": len(answer.content), "sha256": expected}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("job_type", ["video", "image", "music"])
def test_no_two_jobs_have_the_same_file(sim, job_type, size):
    sim.media_bytes = size
    one, two = make(sim, job_type), make(sim, job_type)
    assert sim.media_sha256(one) != sim.media_sha256(two)
    assert sim.media_size(one) == sim.media_size(two)


def test_a_file_has_no_two_blocks_that_are_alike(sim, web):
    sim.media_bytes = 300_007
    make(sim)
    content = web.get("/media/1.mp4").content
    blocks = [content[place : place + 4096] for place in range(0, len(content), 4096)]
    assert len(set(blocks)) == len(blocks)


def test_a_large_file_is_sent_only_as_fast_as_it_is_read(sim, web):
    sim.media_bytes = 4_000_000_000
    make(sim)
    with web.get("/media/1.mp4", stream=True) as answer:
        assert answer.headers["Content-Length"] == "4000000000"
        assert len(answer.raw.read(1 << 20)) == 1 << 20
        assert sim.requests[-1].sent < 1 << 28
    assert web.get("/media/1.mp4", headers={"Range": "bytes=3999999998-"}).status_code == 206


@pytest.mark.parametrize("job_type", ["video", "music"])
@pytest.mark.parametrize("start", [0, 1, 900, 1000, 65_536, 300_006])
def test_a_download_goes_on_where_it_stopped(sim, web, job_type, start):
    sim.media_bytes = 300_007
    make(sim, job_type)
    path = "/media/1.mp4" if job_type == "video" else "/media/1.mp3"
    whole = web.get(path)
    assert whole.headers["Accept-Ranges"] == "bytes"
    rest = web.get(path, headers={"Range": f"bytes={start}-", "If-Range": whole.headers["ETag"]})
    assert (rest.status_code, rest.content) == (206, whole.content[start:])
    assert rest.headers["Content-Range"] == f"bytes {start}-300006/300007"
    assert rest.headers["Content-Length"] == str(300_007 - start)
    assert rest.headers["ETag"] == whole.headers["ETag"]
    assert sim.requests[-1].headers["Range"] == f"bytes={start}-"


@pytest.mark.parametrize(
    ("asked", "given"), [("0-0", slice(0, 1)), ("7-99", slice(7, 100)), ("9-99999", slice(9, None))]
)
def test_a_part_can_be_asked_for(sim, web, asked, given):
    sim.media_bytes = 2048
    make(sim)
    whole = web.get("/media/1.mp4").content
    part = web.get("/media/1.mp4", headers={"Range": f"bytes={asked}"})
    assert (part.status_code, part.content) == (206, whole[given])


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=9-3", "bytes=-5", "lines=1-", "bytes=x-"])
def test_other_ranges_are_ignored(sim, web, asked):
    make(sim)
    whole = web.get("/media/1.mp4").content
    answer = web.get("/media/1.mp4", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, whole)


def test_behind_the_end_there_is_nothing(sim, web):
    sim.media_bytes = 2048
    make(sim)
    answer = web.get("/media/1.mp4", headers={"Range": "bytes=2048-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */2048")


def test_the_rest_of_a_file_that_has_changed_is_all_of_it(sim, web):
    make(sim)
    etag = web.get("/media/1.mp4").headers["ETag"]
    sim.media_bytes = 4096
    answer = web.get("/media/1.mp4", headers={"Range": "bytes=10-", "If-Range": etag})
    assert (answer.status_code, len(answer.content)) == (200, 4096)
    assert answer.headers["ETag"] != etag


def test_a_file_can_be_asked_about_without_being_sent(sim, web):
    job = make(sim)
    answer = web.head("/media/1.mp4")
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(sim.media_size(job)))
    assert web.get("/media/1.mp4").status_code == 200
    assert [logged.sent for logged in sim.requests] == [0, sim.media_size(job)]


def test_a_download_needs_no_token_and_the_log_tells_whether_one_came(sim, web, connect):
    make(sim)
    assert web.get("/media/1.mp4").status_code == 200
    assert connect(sim, path="").get("/media/1.mp4").status_code == 200
    assert [logged.headers["Authorization"] for logged in sim.requests] == ["missing", "authorized"]


@pytest.mark.parametrize("path", ["2.mp4", "1.webp", "1.exe", "x.mp4", "1"])
def test_there_is_no_file_under_another_name(sim, web, path):
    make(sim)
    assert web.get(f"/media/{path}").status_code == 404


@pytest.mark.parametrize("outcome", [None, "failed", "moderated"])
def test_there_is_no_file_of_a_job_that_was_not_completed(sim, web, admin, outcome):
    job = sim.start_job()
    if outcome:
        sim.end_job(job, outcome)
    assert web.get("/media/1.mp4").status_code == 404
    assert admin.get(f"/media/{job}").status_code == 404
    with pytest.raises(LookupError, match="has no file"):
        sim.media_sha256(job)


def test_there_is_no_file_of_a_job_of_a_type_that_makes_none_here(sim, web):
    job = make(sim, "hologram")
    assert web.get("/media/1.mp4").status_code == 404
    with pytest.raises(LookupError, match="has no file"):
        sim.media_size(job)


@pytest.mark.parametrize("size", [0, 2047, 4_000_000_001, 1e6, True])
def test_a_size_that_no_file_can_have_is_refused(size):
    with pytest.raises(ValueError, match=r"^media_bytes: must be a whole number from 2048 to 4000000000"):
        Simulator(media_bytes=size)


def test_a_fault_for_one_file_waits_for_it(sim, web):
    make(sim)
    make(sim)
    sim.inject(faults.html(200), path="media/2.mp4")
    answers = [web.get(f"/media/{number}.mp4?x=y") for number in (1, 2, 2)]
    assert [answer.headers["Content-Type"].partition(";")[0] for answer in answers] == [
        "video/mp4",
        "text/html",
        "video/mp4",
    ]
