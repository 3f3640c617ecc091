"""Faults that downloads meet, seen from a client's side."""

import http.client
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from airflow_pixverse.simulator import faults
from tests.unit.simulator.helpers import connection_to

SIZE = 300_007


@pytest.fixture(autouse=True)
def video(sim):
    """A video that has ended, of ``SIZE`` bytes."""
    sim.media_bytes = SIZE
    sim.end_job(sim.start_job())


@contextmanager
def download(sim, path="/media/1.mp4", **headers):
    """Yield a response that is read piece by piece."""
    with connection_to(sim) as connection:
        connection.request("GET", path, headers=headers)
        yield connection.getresponse()


def read_partly(answer):
    """Return the part of a body that arrives before the connection is closed."""
    with pytest.raises(http.client.IncompleteRead) as broken:
        answer.read()
    return broken.value.partial


@pytest.fixture
def whole(web):
    return web.get("/media/1.mp4").content


@pytest.mark.parametrize(
    ("after", "chunked"),
    [(after, chunked) for after in (1, 900, 100_000) for chunked in (False, True)]
    + [(0, False), (SIZE - 1, False)],
)
def test_cut_closes_the_connection_before_the_end(sim, whole, after, chunked):
    sim.inject(faults.cut(after=after, chunked=chunked), path=".mp4")
    with download(sim) as answer:
        length, encoding = (None, "chunked") if chunked else (str(SIZE), None)
        assert (answer.status, answer.headers["Content-Length"]) == (200, length)
        assert answer.headers["Transfer-Encoding"] == encoding
        assert read_partly(answer) == whole[:after]
    assert (sim.requests[-1].fault, sim.requests[-1].sent) == ("cut", after)


def test_a_download_that_was_cut_can_be_resumed_and_be_cut_again(sim, web, whole):
    sim.inject(faults.cut(after=1000), times=2, path=".mp4")
    for start in (0, 1000):
        with download(sim, Range=f"bytes={start}-") as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (206, str(SIZE - start))
            assert read_partly(answer) == whole[start : start + 1000]
    assert web.get("/media/1.mp4", headers={"Range": "bytes=2000-"}).content == whole[2000:]


def test_cut_and_truncated_are_for_files_and_other_answers(sim, api, whole):
    usual = api.get("/scheduler/available").content
    sim.inject(faults.cut(after=5), path="scheduler/available")
    token = {"Authorization": f"Bearer {sim.token}"}
    with download(sim, "/v2/pixverse/scheduler/available", **token) as answer:
        assert read_partly(answer) == usual[:5]
    sim.inject(faults.truncated(), path=".mp4")
    with download(sim) as answer:
        assert read_partly(answer) == whole[: SIZE // 2]


@pytest.mark.parametrize("chunked", [False, True])
def test_short_ends_cleanly_and_too_early_unless_the_body_is_shorter(sim, web, whole, chunked):
    sim.inject(faults.short(after=1000, chunked=chunked), times=2)
    sim.inject(faults.short(after=SIZE + 1))
    answer = web.get("/media/1.mp4")
    assert (answer.status_code, answer.content) == (200, whole[:1000])
    assert answer.headers.get("Content-Length") == (None if chunked else "1000")
    assert answer.headers.get("Transfer-Encoding") == ("chunked" if chunked else None)
    rest = web.get("/media/1.mp4", headers={"Range": "bytes=500-"})
    assert (rest.status_code, rest.content) == (206, whole[500:1500])
    assert rest.headers["Content-Range"] == f"bytes 500-{SIZE - 1}/{SIZE}"
    assert web.get("/media/1.mp4").content == whole


def test_throttle_sends_the_usual_answer_in_small_pieces(sim, web, whole):
    sim.inject(faults.throttle(bytes_per_second=10_000_000))
    assert web.get("/media/1.mp4").content == whole
    sim.inject(faults.throttle(bytes_per_second=1000))
    with download(sim) as answer:
        assert answer.headers["Content-Length"] == str(SIZE)
        piece = answer.read1()
    assert whole.startswith(piece)
    assert 0 < len(piece) < 10_000


def test_drip_sends_a_whole_file(sim, web):
    sim.media_bytes = 2048
    sim.inject(faults.drip(0))
    assert len(web.get("/media/1.mp4").content) == 2048


def test_ignore_range_answers_with_the_whole_file(sim, web, whole):
    sim.inject(faults.ignore_range(), times=2)
    for start in (1000, SIZE):
        answer = web.get("/media/1.mp4", headers={"Range": f"bytes={start}-"})
        assert (answer.status_code, answer.content) == (200, whole)
        assert "Content-Range" not in answer.headers
    assert web.get("/media/1.mp4", headers={"Range": "bytes=1000-"}).status_code == 206


def test_cdn_redirect_leads_to_the_same_file_at_another_origin(sim, web):
    sim.link_seconds = 3600
    url = f"/media/1.mp4{sim.links.query('/media/1.mp4', sim.service.now)}"
    sim.inject(faults.cdn_redirect(), times=None, path=".mp4")
    answer = web.get(url)
    elsewhere = f"http://localhost:{sim.port}"
    assert (answer.status_code, answer.headers["Location"]) == (302, elsewhere + url)
    web.base = elsewhere
    assert len(web.get(url).content) == SIZE
    assert [logged.fault for logged in sim.requests] == ["cdn_redirect", "cdn_redirect"]
    assert sim.requests[-1].headers["Host"] == f"localhost:{sim.port}"


def test_hold_stops_in_the_middle_until_it_is_released(sim, whole):
    sim.inject(faults.hold(after=1000), path=".mp4")
    with download(sim) as answer:
        sim.wait_for_held()
        assert (sim.held, sim.requests[-1].fault, sim.requests[-1].sent) == (1, "hold", 1000)
        assert answer.read(1000) == whole[:1000]
        assert sim.requests[-1].sent == 1000
        assert sim.release() == 1
        assert answer.read() == whole[1000:]
    assert sim.held == 0


def test_another_process_can_wait_for_held_answers_and_release_them(sim, admin):
    assert admin.get("/held").json() == {"held": 0}
    assert admin.post("/faults", json={"fault": "hold", "after": 1000, "times": 2, "path": ".mp4"}).ok
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(admin.get, "/held", params={"count": 2, "timeout": 60})
        with download(sim) as one, download(sim) as two:
            assert waiting.result().json() == {"held": 2}
            assert [logged["sent"] for logged in admin.get("/requests").json()["requests"]] == [1000, 1000]
            assert admin.delete("/held").json() == {"released": 2}
            assert len(one.read()) == len(two.read()) == SIZE
    assert admin.delete("/held").json() == {"released": 0}


def test_waiting_for_held_answers_that_do_not_come_times_out(sim, admin):
    with pytest.raises(TimeoutError, match=r"^1 were to be held within 0 s; 0 are$"):
        sim.wait_for_held(timeout=0)
    answer = admin.get("/held", params={"count": 1, "timeout": 0})
    assert (answer.status_code, answer.json()["error"]) == (408, "count: 0 are held after 0.0 s")
    assert admin.get("/held", params={"count": -1}).status_code == 400


def test_nothing_is_held_for_a_client_that_has_gone_or_once_the_simulator_stops(sim):
    sim.inject(faults.hold(after=1000), times=2)
    with download(sim):
        sim.wait_for_held()
    sim.wait_for_held(0)
    assert (sim.held, sim.release()) == (0, 0)
    with download(sim):
        sim.wait_for_held()
        sim.stop()
    assert sim.held == 0
