"""A download goes on where it broke off, begins anew where it must, and gives up in the end."""

import hashlib
import re

import pytest

from airflow_pixverse.api.errors import (
    PixverseFatalError,
    PixverseLinkExpiredError,
    PixverseTransientError,
)
from airflow_pixverse.api.media import MediaClient
from airflow_pixverse.simulator import faults
from airflow_pixverse.storage.atomic_file import AtomicFile
from airflow_pixverse.storage.download import Download
from airflow_pixverse.storage.errors import StorageError
from airflow_pixverse.storage.paths import object_path
from tests.helpers.raw_server import RawServer

SIZE = 300_000
FILM = bytes(range(250)) * 1200


@pytest.fixture
def film(sim):
    """A video at the simulator: its URL."""
    sim.media_bytes = SIZE
    sim.end_job(sim.start_job())
    return f"{sim.url}/media/1.mp4"


@pytest.fixture
def store(tmp_path):
    """Store the file behind a URL; ``store.pauses`` are the seconds that were waited in between."""
    pauses = []

    def store(url, max_bytes=10**9, client=None):
        client = client or MediaClient(allow_private=True, timeout=(2.0, 5.0))
        download = Download(client, max_bytes=max_bytes, sleep=pauses.append)
        folder = object_path(f"file://{tmp_path}")
        return download.store(url, folder, lambda content_type: f"film.{content_type.rpartition('/')[2]}")

    store.pauses = pauses
    return store


def ranges(sim):
    return [request.headers.get("Range") for request in sim.requests]


def assert_is_there_whole(stored, sim, folder):
    [there] = folder.iterdir()
    content = there.read_bytes()
    assert stored.path == f"file://{there}"
    assert stored.bytes == len(content) == SIZE
    assert stored.sha256 == hashlib.sha256(content).hexdigest() == sim.media_sha256(sim.jobs[0].id)
    assert stored.content_type == "video/mp4"


def test_a_file_is_stored_with_its_hash(sim, film, store, tmp_path):
    assert_is_there_whole(store(film), sim, tmp_path)
    assert store.pauses == []


def test_what_broke_off_is_gone_on_with(sim, film, store, tmp_path):
    sim.inject(faults.cut(after=100_000), times=2, path=".mp4")
    assert_is_there_whole(store(film), sim, tmp_path)
    assert ranges(sim) == [None, "bytes=100000-", "bytes=200000-"]
    assert sim.requests[1].headers["If-Range"] == f'"1-{SIZE}"'
    assert store.pauses == [1.0, 1.0], "each has brought the download on"


@pytest.mark.parametrize("times", [1, 2])
def test_what_broke_off_is_gone_on_with_although_nobody_told_its_length(sim, film, store, tmp_path, times):
    sim.inject(faults.cut(after=98_304, chunked=True), times=times, path=".mp4")
    assert_is_there_whole(store(film), sim, tmp_path)
    assert ranges(sim) == [None, "bytes=98304-", "bytes=196608-"][: times + 1]
    assert sum(request.sent for request in sim.requests) == SIZE


def test_nearly_all_that_came_before_a_connection_broke_off_is_kept(sim, film, store, tmp_path):
    sim.inject(faults.cut(after=50_000, chunked=True), times=5, path=".mp4")
    assert_is_there_whole(store(film), sim, tmp_path)
    assert sum(request.sent for request in sim.requests) < SIZE + 5 * 8192


def test_trouble_before_and_in_between_is_waited_out(sim, film, store, tmp_path):
    for fault in (faults.status(503), faults.cut(100_000), faults.status(500)):
        sim.inject(fault, path=".mp4")
    assert_is_there_whole(store(film), sim, tmp_path)
    assert ranges(sim) == [None, None, "bytes=100000-", "bytes=100000-"]


def test_a_server_that_knows_no_parts_sends_it_again(sim, film, store, tmp_path):
    sim.inject(faults.cut(after=100_000), path=".mp4")
    sim.inject(faults.ignore_range(), path=".mp4")
    assert_is_there_whole(store(film), sim, tmp_path)
    assert ranges(sim) == [None, "bytes=100000-", None]


def test_a_file_that_has_changed_is_read_from_its_beginning(sim, film, tmp_path):
    sim.inject(faults.cut(after=100_000), path=".mp4")

    def change(_seconds):
        sim.media_bytes = SIZE + 5

    client = MediaClient(allow_private=True)
    stored = Download(client, max_bytes=10**9, sleep=change).store(
        film, object_path(f"file://{tmp_path}"), lambda _: "film.mp4"
    )
    assert stored.bytes == SIZE + 5
    assert stored.sha256 == hashlib.sha256((tmp_path / "film.mp4").read_bytes()).hexdigest()
    assert stored.sha256 == sim.media_sha256(sim.jobs[0].id)


def serving(*answers):
    """Give one answer after the other, each over a connection of its own."""

    def serve(server, connection):
        if server.read_request(connection):
            connection.sendall(answers[min(server.connections, len(answers)) - 1])

    return serve


def whole(body=FILM, *, etag='"a"', sent=None):
    head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nETag: {etag}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:sent]


def part(start, body=FILM, *, etag='ETag: "a"\r\n', size=None):
    head = f"HTTP/1.1 206 Part\r\n{etag}Content-Range: bytes {start}-{len(body) - 1}/{size or len(body)}\r\n"
    return f"{head}Content-Length: {len(body) - start}\r\n\r\n".encode() + body[start:]


OTHER = FILM[::-1]


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(part(1000, OTHER, etag='ETag: "b"\r\n'), id="another etag"),
        pytest.param(part(1000, OTHER + b"x"), id="another size"),
        pytest.param(part(999, OTHER), id="another place"),
        pytest.param(whole(OTHER, etag='"b"'), id="the whole file"),
    ],
)
def test_parts_of_two_files_are_never_put_together(store, tmp_path, second):
    with RawServer(serving(whole(sent=1000), second, whole(OTHER, etag='"b"'))) as server:
        stored = store(server.url)
        assert (tmp_path / "film.mp4").read_bytes() == OTHER
        assert stored.sha256 == hashlib.sha256(OTHER).hexdigest()
        assert [b"Range" in request for _, request in server.requests] == [False, True, False]


def test_a_part_need_not_repeat_what_is_known_of_the_file(store, tmp_path):
    date = 'ETag: W/"a"\r\nLast-Modified: Mon, 01 Jan 2026 00:00:00 GMT'
    first = whole(sent=1000).replace(b'ETag: "a"', date.encode())
    second = part(1000, etag="").replace(b"Content-Length: ", b"Connection: close\r\nContent-Length: ")
    with RawServer(serving(first, second[:-500], part(len(FILM) - 500, etag=""))) as server:
        stored = store(server.url)
        assert (stored.content_type, stored.bytes) == ("video/mp4", len(FILM))
        assert (tmp_path / "film.mp4").read_bytes() == FILM
        assert b"If-Range: Mon, 01 Jan 2026 00:00:00 GMT\r\n" in server.requests[2][1]


def test_a_file_without_a_validator_is_read_from_its_beginning(store, tmp_path):
    first = whole(sent=1000).replace(b'ETag: "a"\r\n', b"")
    with RawServer(serving(first, whole())) as server:
        store(server.url)
        assert all(b"Range" not in request for _, request in server.requests)
    assert (tmp_path / "film.mp4").read_bytes() == FILM


def test_a_server_that_refuses_parts_is_asked_for_the_whole(store, tmp_path):
    refusal = b"HTTP/1.1 416 Range\r\nContent-Length: 0\r\n\r\n"
    with RawServer(serving(whole(sent=1000), refusal, whole())) as server:
        store(server.url)
    assert (tmp_path / "film.mp4").read_bytes() == FILM


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(500),
        faults.html(200),
        faults.status(200, {"title": "gone"}, content_type="application/problem+json"),
        faults.status(200, {"title": "gone"}, content_type="application/octet-stream"),
        faults.reset(),
        faults.cut(0),
        faults.short(0),
        faults.short(0, chunked=True),
    ],
    ids=["500", "html", "problem", "untyped", "reset", "cut", "empty", "empty, chunked"],
)
def test_a_file_that_does_not_come_is_given_up_and_nothing_is_left(sim, film, store, tmp_path, fault):
    sim.inject(fault, times=None, path=".mp4")
    with pytest.raises(PixverseTransientError):
        store(film)
    assert sim.request_count == 4
    assert store.pauses == [1.0, 2.0, 4.0]
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_said_to_be_empty(sim, film, store):
    sim.inject(faults.short(0), times=None, path=".mp4")
    with pytest.raises(PixverseTransientError, match=r"/media/1\.mp4 is empty"):
        store(film)


def test_a_download_that_never_comes_to_its_end_is_given_up(sim, film, store, tmp_path):
    sim.inject(faults.cut(after=1), times=None, path=".mp4")
    with pytest.raises(PixverseTransientError, match="broke off"):
        store(film)
    assert sim.request_count == 100
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("etag", ['"a"', ""], ids=["knows no parts", "without a validator"])
def test_a_server_that_breaks_off_in_the_same_place_is_given_up(store, tmp_path, etag):
    with RawServer(serving(whole(etag=etag, sent=len(FILM) // 3))) as server:
        with pytest.raises(PixverseTransientError, match="broke off"):
            store(server.url)
        assert len(server.requests) == 4
    assert store.pauses == [1.0, 2.0, 4.0]
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_gets_farther_each_time_is_asked_until_the_file_is_there(store, tmp_path):
    answers = [whole(etag="", sent=n * len(FILM) // 8) for n in range(1, 9)]
    with RawServer(serving(*answers)) as server:
        assert store(server.url).bytes == len(FILM)
        assert len(server.requests) == 8
    assert (tmp_path / "film.mp4").read_bytes() == FILM


def test_it_waits_as_long_as_the_server_asks_up_to_a_minute(sim, film, store):
    for seconds in (7, 3600):
        sim.inject(faults.status(503, retry_after=seconds), path=".mp4")
    store(film)
    assert store.pauses == [7, 60]


def test_an_expired_link_is_not_tried_again(sim, film, store, tmp_path):
    sim.inject(faults.status(403), path=".mp4")
    with pytest.raises(PixverseLinkExpiredError):
        store(film)
    assert sim.request_count == 1
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_expires_in_the_middle_is_told_apart(sim, film, store, tmp_path):
    sim.inject(faults.cut(after=1000), path=".mp4")
    sim.inject(faults.status(403), path=".mp4")
    with pytest.raises(PixverseLinkExpiredError):
        store(film)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_said_to_be_too_large_is_not_read(sim, film, store, tmp_path):
    sim.media_bytes = 50_000_000
    with pytest.raises(PixverseFatalError, match=f"has more than max_bytes={SIZE} bytes"):
        store(film, max_bytes=SIZE)
    assert sim.request_count == 1
    assert sim.requests[0].sent < 50_000_000
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_turns_out_to_be_too_large_is_given_up(store, tmp_path):
    endless = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n"

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(endless)
        server.drip(connection, b"x" * 65536)

    with RawServer(serve) as server:
        with pytest.raises(PixverseFatalError, match="has more than max_bytes=100000 bytes"):
            store(server.url, max_bytes=100_000)
        assert server.hung_up.wait(10)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_just_the_size_is_stored(film, store):
    assert store(film, max_bytes=SIZE).bytes == SIZE


def test_what_must_not_be_read_is_not_tried_again(sim, film, store, tmp_path):
    with pytest.raises(PixverseFatalError, match="set allow_private_results in the extra of the connection"):
        store(film, client=MediaClient())
    assert store.pauses == []
    assert sim.request_count == 0


def test_what_cannot_be_written_is_not_read_again(sim, film, store, monkeypatch):
    def broken(_file, _chunk):
        raise StorageError("full")

    monkeypatch.setattr(AtomicFile, "write", broken)
    with pytest.raises(StorageError, match=re.escape("full")):
        store(film)
    assert sim.request_count == 1
