"""Downloading the files of results."""

import hashlib
import struct

import pytest

from airflow_pixverse.simulator import faults

FILES = {"video": "mp4", "image": "webp", "music": "mp3", "speech": "mp3"}
every_size = pytest.mark.parametrize("size", [None, 2048, 2049, 300_007])


def make(sim, job_type="video"):
    """Complete a job, and return its id."""
    job = sim.start_job(type=job_type)
    sim.end_job(job)
    return job


@pytest.fixture
def fetch(sim, web):
    """Complete a job whose file has this size, and download the file."""

    def fetch(job_type, size):
        sim.media_bytes = size
        make(sim, job_type)
        return web.get(f"/media/1.{FILES[job_type]}")

    return fetch


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


@every_size
def test_a_video_is_an_mp4(fetch, size):
    answer = fetch("video", size)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "video/mp4")
    boxes, end = mp4_boxes(answer.content)
    assert (boxes[0], boxes[-1], end) == ("ftyp", "free", len(answer.content))
    assert {"moov", "mdat"} <= set(boxes)


@every_size
def test_an_image_is_a_webp(fetch, size):
    answer = fetch("image", size)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/webp")
    riff, length, webp = struct.unpack_from("<4sI4s", answer.content)
    assert (riff, webp) == (b"RIFF", b"WEBP")
    assert 0 <= len(answer.content) - 8 - length <= 1
    assert riff_chunks(answer.content) == (["VP8X", "VP8L", "FILL"], 8 + length)


@every_size
@pytest.mark.parametrize("job_type", ["music", "speech"])
def test_a_sound_is_an_mp3(fetch, job_type, size):
    answer = fetch(job_type, size)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "audio/mpeg")
    assert answer.content[:3] == b"ID3"
    frames = answer.content[10 + (answer.content[8] << 7) + answer.content[9] :]
    assert frames
    assert len(frames) % 96 == 0
    assert {frames[place : place + 4] for place in range(0, len(frames), 96)} == {b"\xff\xfb\x14\xc0"}
    assert frames.count(b"\xff") == len(frames) // 96


@every_size
@pytest.mark.parametrize("job_type", ["video", "image", "music"])
def test_the_size_and_the_hash_of_a_file_are_known_and_the_hash_is_that_of_no_other(
    sim, fetch, admin, job_type, size
):
    answer = fetch(job_type, size)
    job, another = sim.jobs[0].id, make(sim, job_type)
    expected = hashlib.sha256(answer.content).hexdigest()
    assert sim.media_sha256(job) == expected != sim.media_sha256(another)
    assert sim.media_size(job) == len(answer.content) == int(answer.headers["Content-Length"])
    assert sim.media_size(another) == len(answer.content)
    assert size in {None, len(answer.content)}
    assert admin.get(f"/media/{job}").json() == {"size": len(answer.content), "sha256": expected}


def test_a_file_has_no_two_blocks_that_are_alike(fetch):
    content = fetch("video", 300_007).content
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
def test_a_download_goes_on_where_it_stopped(sim, web, fetch, job_type, start):
    whole = fetch(job_type, 300_007)
    assert whole.headers["Accept-Ranges"] == "bytes"
    asked = {"Range": f"bytes={start}-", "If-Range": whole.headers["ETag"]}
    rest = web.get(f"/media/1.{FILES[job_type]}", headers=asked)
    assert (rest.status_code, rest.content) == (206, whole.content[start:])
    assert rest.headers["Content-Range"] == f"bytes {start}-300006/300007"
    assert rest.headers["Content-Length"] == str(300_007 - start)
    assert rest.headers["ETag"] == whole.headers["ETag"]
    assert sim.requests[-1].headers["Range"] == f"bytes={start}-"


@pytest.mark.parametrize(
    ("asked", "status", "given"),
    [
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=7-99", 206, slice(7, 100)),
        ("bytes=9-99999", 206, slice(9, None)),
        *(
            (other, 200, slice(None))
            for other in ("bytes=0-1,5-6", "bytes=9-3", "bytes=-5", "lines=1-", "bytes=x-")
        ),
    ],
)
def test_a_range_is_a_part_of_the_file_and_any_other_is_ignored(fetch, web, asked, status, given):
    whole = fetch("video", 2048).content
    answer = web.get("/media/1.mp4", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, whole[given])


def test_a_range_behind_the_end_answers_416(fetch, web):
    fetch("video", 2048)
    answer = web.get("/media/1.mp4", headers={"Range": "bytes=2048-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */2048")


def test_a_file_that_has_changed_is_sent_whole(sim, web):
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


@pytest.mark.parametrize(
    ("job_type", "outcome"),
    [("video", None), ("video", "failed"), ("video", "moderated"), ("hologram", "completed")],
)
def test_there_is_no_file_of_a_job_that_made_none(sim, web, admin, job_type, outcome):
    job = sim.start_job(type=job_type)
    if outcome:
        sim.end_job(job, outcome)
    assert web.get("/media/1.mp4").status_code == 404
    assert admin.get(f"/media/{job}").status_code == 404
    for ask in (sim.media_sha256, sim.media_size):
        with pytest.raises(LookupError, match="has no file"):
            ask(job)


def test_a_fault_for_one_file_waits_for_it(sim, web):
    make(sim)
    make(sim)
    sim.inject(faults.html(200), path="media/2.mp4")
    types = [web.get(f"/media/{number}.mp4?x=y").headers["Content-Type"] for number in (1, 2, 2)]
    assert [one.partition(";")[0] for one in types] == ["video/mp4", "text/html", "video/mp4"]


@pytest.mark.parametrize("path", ["2.mp4", "1.webp", "1.exe", "x.mp4", "1"])
def test_a_file_is_not_found_under_another_name(sim, web, path):
    make(sim)
    assert web.get(f"/media/{path}").status_code == 404
