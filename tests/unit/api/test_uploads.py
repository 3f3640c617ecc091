"""Uploads: a file goes to the service as it is read, again if that gets lost; its trouble stays its own."""

import hashlib
import io
import json
from contextlib import contextmanager

import pytest

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.deadline import Deadline
from airflow_pixverse.api.errors import PixverseAuthError, PixverseFatalError, PixverseTransientError
from airflow_pixverse.api.uploads import MAX_UPLOAD, UploadBody, upload_of
from airflow_pixverse.simulator import faults

from .raw_server import RawServer, always, answer

PICTURE = bytes(range(256)) * 1000
SIZE = len(PICTURE)


class Watched(io.BytesIO):
    """A file that notes how much is read at once."""

    def __init__(self, content=PICTURE):
        super().__init__(content)
        self.reads = []

    def read(self, size=-1):
        self.reads.append(size)
        return super().read(size)


class Opened:
    """Opens files, and notes them."""

    def __init__(self, *contents):
        self.contents = contents or (PICTURE,)
        self.files = []

    @contextmanager
    def __call__(self):
        content = self.contents[min(len(self.files), len(self.contents) - 1)]
        with Watched(content) as file:
            self.files.append(file)
            yield file


@pytest.fixture
def client(sim):
    with PixverseClient(sim.token, sim.url, max_retry_wait=0) as client:
        yield client


def upload(client, opened=None, *, size=SIZE, content_type="image/png", **kwargs):
    return client.upload(opened or Opened(), size=size, content_type=content_type, **kwargs)


# What is sent, and answered


@pytest.mark.parametrize("content_type", ["image/png", "video/mp4", "audio/mpeg"])
def test_a_file_arrives_as_it_is(sim, client, content_type):
    result = upload(client, content_type=content_type)
    [there] = sim.uploads
    assert there.sha256 == hashlib.sha256(PICTURE).hexdigest()
    assert (there.size, there.content_type) == (len(PICTURE), content_type)
    assert (result.path, result.url) == (there.path, there.url)
    sent = sim.requests[-1].headers
    assert sent["Content-Length"] == str(len(PICTURE))
    assert sent["Content-Type"] == content_type
    assert sent["Authorization"] == "authorized"


def test_an_image_has_an_id_and_others_have_none(client):
    assert upload(client).id == "1"
    assert upload(client, content_type="video/mp4").id is None


def test_the_account_may_be_chosen(sim, client):
    upload(client, email="a-1@example.com")
    assert sim.uploads[0].email == "a-1@example.com"


def test_no_more_than_a_block_is_read_at_once(client):
    opened = Opened()
    upload(client, opened)
    [file] = opened.files
    assert file.closed
    assert len(file.reads) > 3
    assert 0 < max(file.reads) <= 64 * 1024
    assert min(file.reads) >= 0


def test_a_body_is_read_in_blocks_however_it_is_read():
    file = Watched()
    assert b"".join(UploadBody(file, len(PICTURE))) == PICTURE
    assert max(file.reads) <= 64 * 1024
    assert len(UploadBody(file, MAX_UPLOAD)) == MAX_UPLOAD


def test_no_more_is_sent_than_the_file_had(sim, client):
    upload(client, Opened(PICTURE + b"more"))
    assert sim.uploads[0].size == len(PICTURE)


# Again


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(500),
        faults.status(503, retry_after=0),
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
def test_an_upload_that_gets_lost_is_repeated_from_the_beginning(sim, client, fault):
    sim.inject(fault, times=2, path="files/")
    opened = Opened()
    result = upload(client, opened)
    assert len(opened.files) == 3
    assert sim.uploads[-1].path == result.path
    assert sim.uploads[-1].sha256 == hashlib.sha256(PICTURE).hexdigest()


@pytest.mark.parametrize(
    "body", [{}, {"result": []}, {"result": {}}, {"path": ""}, {"path": {}}, [], "x", None]
)
def test_an_answer_without_a_path_is_no_answer(body):
    sent = answer(json.dumps(body).encode())
    with RawServer(always(sent)) as server:
        client = PixverseClient("user:1-token", server.url, max_retries=1, max_retry_wait=0)
        with pytest.raises(PixverseTransientError, match=r"POST files/.*(no path of a file|answer|JSON)"):
            upload(client)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("code", "kind"), [(400, PixverseFatalError), (401, PixverseAuthError), (413, PixverseFatalError)]
)
def test_a_refusal_is_final(sim, client, code, kind):
    sim.inject(faults.status(code), path="files/")
    opened = Opened()
    with pytest.raises(kind, match=f"POST files/ answered {code}"):
        upload(client, opened)
    assert len(opened.files) == 1


def test_a_kind_of_file_that_the_service_does_not_take_is_refused(client):
    with pytest.raises(PixverseFatalError, match="400"):
        upload(client, content_type="text/plain")


@pytest.mark.parametrize("size", [0, -1, MAX_UPLOAD + 1])
def test_what_is_empty_or_too_large_is_not_even_opened(sim, client, size):
    opened = Opened()
    with pytest.raises(PixverseFatalError, match=f"a file must have 1 to {MAX_UPLOAD} bytes"):
        upload(client, opened, size=size)
    assert opened.files == []
    assert sim.request_count == 0


# Trouble with the file


def test_a_file_that_has_become_shorter_is_not_uploaded(sim, client):
    opened = Opened(PICTURE[:-1])
    with pytest.raises(EOFError, match="has become shorter than the 256000 bytes that it had"):
        upload(client, opened)
    assert len(opened.files) == 1
    assert sim.uploads == []


@pytest.mark.parametrize(
    "error",
    [
        OSError("the disk is gone"),
        PermissionError("no"),
        ConnectionResetError("the store"),
        TimeoutError("the store"),
        ValueError("odd"),
        RuntimeError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("blocks", [0, 3])
def test_a_file_that_cannot_be_read_is_no_trouble_of_the_network(sim, client, error, blocks):
    class Broken(Watched):
        def read(self, size=-1):
            if len(self.reads) >= blocks:
                raise error
            return super().read(size)

    opens = []

    @contextmanager
    def opened():
        opens.append(1)
        yield Broken()

    with pytest.raises(type(error)) as caught:
        client.upload(opened, size=len(PICTURE), content_type="image/png")
    assert caught.value is error
    assert opens == [1]
    assert sim.uploads == []


def test_a_file_that_cannot_be_opened_is_said_so(sim, client):
    def opened():
        raise FileNotFoundError("a.png")

    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        upload(client, opened)
    assert sim.request_count == 0


# Time


def test_an_upload_may_take_longer_than_the_limit_as_long_as_it_moves(sim):
    class Slow(Watched):
        def read(self, size=-1):
            # A store that takes its time is no service that does.
            waiting.wait(0.05)
            return super().read(size)

    with RawServer(always(answer(b'{"path": "upload/1.png"}'))) as server:
        waiting = server.hung_up

        @contextmanager
        def opened():
            yield Slow()

        client = PixverseClient("user:1-token", server.url, timeout=(0.1, 0.2), max_retries=0)
        assert upload(client, opened).path == "upload/1.png"


def test_a_service_that_takes_nothing_is_given_up():
    def serve(server, connection):
        connection.recv(1000)
        server.hung_up.wait(30)

    with RawServer(serve) as server:
        client = PixverseClient("user:1-token", server.url, timeout=(0.1, 0.3), max_retries=0)
        size = 50_000_000  # more than the buffers of a connection

        @contextmanager
        def opened():
            yield io.BytesIO(bytes(size))

        with pytest.raises(PixverseTransientError, match="POST files/"):
            upload(client, opened, size=size)
        server.hung_up.set()


# Answers


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
def test_answers_about_images_and_about_others_are_read(body, expected):
    upload = upload_of(body)
    assert upload is not None
    assert upload[:3] == expected
    assert upload.answer == body


def test_a_body_needs_no_deadline_and_knows_one():
    with Deadline(60) as deadline:
        deadline.pause()
        assert UploadBody(Watched(), 10).read() == PICTURE[:10]
    assert not deadline.passed
