"""Uploads: a file is sent as it is read, again if that gets lost; its errors stay its own."""

import hashlib
import io
import json
from contextlib import contextmanager

import pytest

from airflow_pixverse.api.errors import PixverseAuthError, PixverseFatalError, PixverseTransientError
from airflow_pixverse.api.http.deadline import Deadline
from airflow_pixverse.api.uploads import MAX_UPLOAD, UploadBody, upload_of
from airflow_pixverse.simulator import faults
from tests.helpers.clients import client_of, error_of
from tests.helpers.raw_server import answer

PICTURE = bytes(range(256)) * 1000
SIZE = len(PICTURE)


class Watched(io.BytesIO):
    """
    A file that notes how much is read at once.

    :param before_read: called before each read, with the file.
    """

    def __init__(self, content=PICTURE, before_read=lambda file: None):
        super().__init__(content)
        self.before_read = before_read
        self.reads = []

    def read(self, size=-1):
        self.before_read(self)
        self.reads.append(size)
        return super().read(size)


class Opened:
    """Opens files, and notes them."""

    def __init__(self, content=PICTURE, **kwargs):
        self.make = lambda: Watched(content, **kwargs)
        self.files = []

    @contextmanager
    def __call__(self):
        with self.make() as file:
            self.files.append(file)
            yield file


@pytest.fixture
def client(sim):
    """A client of the simulator that repeats calls at once."""
    with client_of(sim, max_retries=3) as client:
        yield client


def upload(client, opened=None, *, size=SIZE, content_type="image/png", **kwargs):
    return client.upload(opened or Opened(), size=size, content_type=content_type, **kwargs)


# Request and response


@pytest.mark.parametrize(
    ("content_type", "file_id"), [("image/png", "1"), ("video/mp4", None), ("audio/mpeg", None)]
)
def test_file_arrives_as_it_is(sim, client, content_type, file_id):
    result = upload(client, content_type=content_type, email="a-1@example.com")
    [there] = sim.uploads
    assert there.sha256 == hashlib.sha256(PICTURE).hexdigest()
    assert (there.size, there.content_type, there.email) == (SIZE, content_type, "a-1@example.com")
    assert (result.path, result.url, result.id) == (there.path, there.url, file_id)
    sent = sim.requests[-1].headers
    assert sent["Content-Length"] == str(SIZE)
    assert sent["Content-Type"] == content_type
    assert sent["Authorization"] == "authorized"


def test_file_is_read_in_blocks_and_closed(client):
    opened = Opened()
    upload(client, opened)
    [file] = opened.files
    assert file.closed
    assert len(file.reads) > 3
    assert 0 < max(file.reads) <= 64 * 1024
    assert min(file.reads) >= 0


def test_body_is_read_in_blocks_however_it_is_read():
    file = Watched()
    assert b"".join(UploadBody(file, SIZE)) == PICTURE
    assert max(file.reads) <= 64 * 1024
    assert len(UploadBody(file, MAX_UPLOAD)) == MAX_UPLOAD


def test_file_that_has_grown_is_sent_up_to_its_size(sim, client):
    upload(client, Opened(PICTURE + b"more"))
    assert sim.uploads[0].size == SIZE


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"result": [{"id": 7, "path": "upload/7.png", "url": "https://x/7.png"}]},
            ("upload/7.png", "https://x/7.png", "7"),
        ),
        ({"path": "upload/7.mp4", "url": "https://x/7.mp4"}, ("upload/7.mp4", "https://x/7.mp4", None)),
        ({"path": "upload/7.mp4", "url": None}, ("upload/7.mp4", None, None)),
        ({"result": [{"path": "p", "id": True, "url": ["x"]}]}, ("p", None, None)),
        ({"result": [{"path": "a\nb"}]}, ("a b", None, None)),
    ],
)
def test_answer_about_a_file_of_any_kind_is_read(body, expected):
    assert upload_of(body) == (*expected, body)


# Again


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(500),
        faults.rate_limit(retry_after=0),
        faults.reset(),
        faults.lost_answer(),
        faults.lost_request(),
        faults.truncated(),
        faults.html(),
        faults.broken_json(),
    ],
    ids=lambda fault: fault.name,
)
def test_upload_that_gets_lost_is_repeated_from_the_beginning(sim, client, fault):
    sim.inject(fault, times=2, path="files/")
    opened = Opened()
    result = upload(client, opened)
    assert len(opened.files) == 3
    assert sim.uploads[-1].path == result.path
    assert sim.uploads[-1].sha256 == hashlib.sha256(PICTURE).hexdigest()


@pytest.mark.parametrize(
    "body", [{}, {"result": []}, {"result": {}}, {"path": ""}, {"path": {}}, [], "x", None]
)
def test_answer_without_a_path_is_transient(raw_server, body):
    server = raw_server(answer(json.dumps(body).encode()))
    with pytest.raises(PixverseTransientError, match=r"POST files/ answered no path of a file$"):
        upload(client_of(server, max_retries=1))
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "kind"), [(400, PixverseFatalError), (401, PixverseAuthError), (413, PixverseFatalError)]
)
def test_upload_that_is_refused_is_not_repeated(sim, client, status, kind):
    sim.inject(faults.status(status), path="files/")
    opened = Opened()
    with pytest.raises(kind, match=f"POST files/ answered {status}"):
        upload(client, opened)
    assert len(opened.files) == 1


@pytest.mark.parametrize("size", [0, -1, MAX_UPLOAD + 1])
def test_file_that_is_empty_or_too_large_is_not_even_opened(sim, client, size):
    opened = Opened()
    error = error_of(upload, client, opened, size=size, kind=PixverseFatalError)
    assert str(error).endswith(f"POST files/ cannot be sent: a file must have 1 to {MAX_UPLOAD} bytes")
    assert opened.files == []
    assert sim.request_count == 0


# Errors of the file


def test_file_that_has_become_shorter_is_not_uploaded(sim, client):
    opened = Opened(PICTURE[:-1])
    with pytest.raises(EOFError, match="has become shorter than the 256000 bytes that it had"):
        upload(client, opened)
    assert len(opened.files) == 1
    assert sim.uploads == []


@pytest.mark.parametrize(
    "error",
    [
        OSError("the disk is gone"),
        ConnectionResetError("the store"),
        TimeoutError("the store"),
        ValueError("odd"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("blocks", [0, 3])
def test_file_that_cannot_be_read_raises_its_own_error_once(sim, client, error, blocks):
    def break_off(file):
        if len(file.reads) >= blocks:
            raise error

    opened = Opened(before_read=break_off)
    assert error_of(upload, client, opened, kind=type(error)) is error
    assert len(opened.files) == 1
    assert sim.uploads == []


def test_file_that_cannot_be_opened_raises_its_own_error(sim, client):
    def opened():
        raise FileNotFoundError("a.png")

    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        upload(client, opened)
    assert sim.request_count == 0


# Time


def test_upload_that_moves_may_take_longer_than_the_limit(raw_server):
    server = raw_server(answer(b'{"path": "upload/1.png"}'))
    # A store that takes its time is no service that does.
    opened = Opened(before_read=lambda file: server.hung_up.wait(0.05))
    assert upload(client_of(server, timeout=(0.1, 0.2)), opened).path == "upload/1.png"


def test_service_that_takes_nothing_is_given_up(raw_server):
    def serve(server, connection):
        connection.recv(1000)
        server.hung_up.wait(30)

    server = raw_server(serve)
    size = 50_000_000  # more than the buffers of a connection
    with pytest.raises(PixverseTransientError, match="POST files/"):
        upload(client_of(server, timeout=(0.1, 0.3)), Opened(bytes(size)), size=size)
    server.hung_up.set()


def test_body_pauses_and_postpones_the_deadline_that_there_is():
    with Deadline(60) as deadline:
        deadline.pause()
        assert UploadBody(Watched(), 10).read() == PICTURE[:10]
    assert not deadline.passed
