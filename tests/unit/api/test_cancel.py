"""Cancelling a job: asked for once, whatever it is answered with."""

import pytest

from airflow_pixverse.api.errors import PixverseAuthError, PixverseFatalError, PixverseTransientError
from tests.helpers.clients import client_of
from tests.helpers.raw_server import answer

VIDEO = "user:1-pixverse:mary-jane@example.com-video:34"
PAGE = b"<html><body>Nothing here"


def test_cancel_frees_a_slot_once(sim, client):
    job_id = sim.start_job()
    assert client.cancel(job_id) is True
    assert sim.free() == 6
    assert client.cancel(job_id) is False


def test_cancel_is_sent_once(raw_server):
    server = raw_server(answer(status="503 Unavailable"))
    with pytest.raises(PixverseTransientError):
        client_of(server, max_retries=3).cancel(VIDEO)
    [(_, request)] = server.requests
    assert request.startswith(f"DELETE /v2/pixverse/scheduler/{VIDEO} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("then", [answer(b"", "204 No Content"), answer(b""), answer(b"{}"), answer(b"null")])
def test_cancel_is_done_whatever_it_is_answered_with(raw_server, then):
    assert client_of(raw_server(then)).cancel(VIDEO) is True


@pytest.mark.parametrize(
    ("served", "kind", "words"),
    [
        # A web page does not say that a job is not running.
        (answer(PAGE, "404 Not Found", content_type="text/html"), PixverseFatalError, "a web page"),
        (answer(status="400 No"), PixverseFatalError, "400"),
        (answer(status="401 No"), PixverseAuthError, "401"),
        (answer(status="500 No"), PixverseTransientError, "500"),
    ],
)
def test_cancel_answered_with_an_error_raises_it(raw_server, served, kind, words):
    with pytest.raises(kind, match=words):
        client_of(raw_server(served)).cancel(VIDEO)
