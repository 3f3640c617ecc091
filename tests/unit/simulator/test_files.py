"""Uploading files, and looking at what was uploaded."""

import hashlib
import socket

import pytest
import requests

from airflow_pixverse.simulator import faults, routes
from tests.unit.simulator.helpers import B


def upload(api, content=b"picture", content_type="image/png", path="/files/", **params):
    headers = {} if content_type is None else {"Content-Type": content_type}
    return api.post(path, data=content, headers=headers, params=params)


@pytest.mark.parametrize("path", ["/files/", "/files"])
@pytest.mark.parametrize(
    ("content_type", "suffix"), [("video/mp4", "mp4"), ("audio/mpeg", "mp3"), ("image/png", "png")]
)
def test_an_upload_is_answered_with_its_path_and_that_of_an_image_in_a_list(
    sim, api, path, content_type, suffix
):
    file = {"path": f"upload/1.{suffix}", "url": f"{sim.url}/upload/1.{suffix}"}
    image = {"result": [file | {"id": 1, "size": 7, "name": "1.png"}]}
    answer = upload(api, content_type=content_type, path=path)
    assert answer.json() == (image if suffix == "png" else file)


def test_an_upload_is_logged_without_its_content(sim, api):
    upload(api, b"one", email=B.upper())
    upload(api, b"two two", "video/mp4; codecs=avc1")
    one, two = sim.uploads
    assert (one.number, one.path, one.url) == (1, "upload/1.png", f"{sim.url}/upload/1.png")
    assert (two.number, two.path, two.url) == (2, "upload/2.mp4", f"{sim.url}/upload/2.mp4")
    assert (one.content_type, one.size, one.email) == ("image/png", 3, B)
    assert (two.content_type, two.size, two.email) == ("video/mp4", 7, None)
    assert [file.sha256 for file in (one, two)] == [
        hashlib.sha256(content).hexdigest() for content in (b"one", b"two two")
    ]


def test_an_upload_may_be_larger_than_any_other_request_and_in_chunks(sim, api):
    block = bytes(range(256)) * 256
    upload(api, (block for _ in range(100)), "video/mp4")
    [uploaded] = sim.uploads
    assert (uploaded.size, uploaded.sha256) == (6_553_600, hashlib.sha256(block * 100).hexdigest())


@pytest.mark.parametrize("content_type", [None, "application/octet-stream", "text/plain", "image"])
def test_a_content_type_of_a_picture_a_video_or_a_sound_is_needed(sim, api, content_type):
    answer = upload(api, content_type=content_type)
    assert (answer.status_code, answer.json()["error"].partition(":")[0]) == (400, "Content-Type")
    assert sim.uploads == []


@pytest.mark.parametrize(
    ("content", "email", "refusal"),
    [
        (b"", B, (400, "body: must be the file, and not be empty")),
        (b"picture", "nobody@example.com", (404, "email: no account nobody@example.com is configured")),
    ],
)
def test_an_empty_file_or_one_for_an_unknown_account_is_refused(sim, api, content, email, refusal):
    answer = upload(api, content, email=email)
    assert (answer.status_code, answer.json()["error"]) == refusal
    assert sim.uploads == []


def test_a_file_is_not_taken_without_the_token(sim, connect):
    assert upload(connect(sim, "wrong")).status_code == 401
    assert sim.uploads == []


def begun_upload(sim, size):
    """The head of an upload, which a client sends before the file."""
    head = (
        "POST /v2/pixverse/files/ HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {sim.token}",
        "Content-Type: video/mp4",
        f"Content-Length: {size}",
    )
    return "\r\n".join((*head, "", "")).encode()


def test_a_file_that_says_that_it_is_too_large_is_refused_before_it_is_sent(sim):
    with socket.create_connection(("127.0.0.1", sim.port), timeout=60) as connection:
        connection.sendall(begun_upload(sim, 5_000_000_001))
        assert connection.recv(12) == b"HTTP/1.1 413"


@pytest.mark.parametrize(("size", "status"), [(100, 200), (101, 413)])
def test_a_file_that_turns_out_to_be_too_large_is_refused(sim, api, monkeypatch, size, status):
    monkeypatch.setattr(routes, "MAX_UPLOAD_BYTES", 100)
    assert upload(api, iter([b"x" * size])).status_code == status
    assert len(sim.uploads) == (status == 200)


def test_an_upload_that_the_client_gives_up_is_not_kept(sim, api):
    with socket.create_connection(("127.0.0.1", sim.port), timeout=60) as connection:
        connection.sendall(begun_upload(sim, 1000) + b"half")
        sim.wait_for_requests(1)
    assert upload(api).status_code == 200
    assert [uploaded.size for uploaded in sim.uploads] == [7]


def test_an_answer_to_an_upload_can_be_lost(sim, api):
    sim.inject(faults.lost_answer(), path="files/", method="POST")
    with pytest.raises(requests.ConnectionError):
        upload(api)
    assert upload(api).json()["result"][0]["path"] == "upload/2.png"
    assert len(sim.uploads) == 2
