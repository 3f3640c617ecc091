"""No library logs what the URL of a download is signed with; other requests are logged as they are."""

import http.client
import logging

import pytest
import requests

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.http.url_redaction import redacted_url, without_queries
from airflow_pixverse.api.media import MediaClient
from airflow_pixverse.simulator import faults
from tests.helpers.raw_server import answer


@pytest.fixture
def debug_lines(caplog):
    """A function that returns what libraries have logged."""
    caplog.set_level(logging.DEBUG)
    return lambda: [one.getMessage() for one in caplog.records if not one.name.startswith("airflow_pixverse")]


def read(url, **kwargs):
    with MediaClient(allow_private=True, **kwargs).open(url) as media:
        return b"".join(media.chunks)


def test_debug_lines_of_a_download_hide_the_signatures_of_all_redirects(sim, link, debug_lines):
    sim.inject(faults.cdn_redirect(), times=2, path=".mp4")
    read(link)
    answered = [line.rpartition(" ")[0] for line in debug_lines() if "GET /media" in line]
    assert answered == [
        f'http://127.0.0.1:{sim.port} "GET /media/1.mp4?*** HTTP/1.1" 302',
        f'http://localhost:{sim.port} "GET /media/1.mp4?*** HTTP/1.1" 200',
    ]
    text = "\n".join(debug_lines())
    assert "signature=" not in text
    assert "expires=" not in text


def test_debug_line_of_a_download_through_a_proxy_hides_the_signature(raw_server, debug_lines):
    proxy = raw_server(answer(b"film", content_type="video/mp4"))
    read("http://cdn.invalid/a.mp4?signature=secret", proxy=proxy.url)
    assert b"signature=secret" in proxy.requests[0][1]
    text = "\n".join(debug_lines())
    assert '"GET http://cdn.invalid/a.mp4?*** HTTP/1.1"' in text
    assert "secret" not in text


def test_debug_line_of_a_request_of_the_users_own_is_left_alone(sim, link, debug_lines):
    with MediaClient(allow_private=True).open(link) as media:
        next(media.chunks)
        requests.get(f"{sim.url}/during?mine=1", timeout=10)
    requests.get(f"{sim.url}/after?mine=2", timeout=10)
    text = "\n".join(debug_lines())
    assert '"GET /during?mine=1 HTTP/1.1"' in text
    assert '"GET /after?mine=2 HTTP/1.1"' in text


@pytest.mark.parametrize("client", ["media", "api"])
def test_debug_output_of_http_client_does_not_print_requests(sim, link, client, monkeypatch, capfd):
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    requests.get(f"{sim.url}/mine", timeout=10)
    assert "send: b'GET /mine" in capfd.readouterr().out, "so that what follows proves something"
    if client == "media":
        read(link)
    else:
        PixverseClient(sim.token, sim.url).list_executing()
    assert sim.request_count == 2
    assert "send: " not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("GET /a.mp4?signature=x HTTP/1.1", "GET /a.mp4?*** HTTP/1.1"),
        ("{'url': 'https://x/a.mp4?b=c&d=e#f'}", "{'url': 'https://x/a.mp4?***'}"),
        ("https://x/?a=b https://y/?c=d", "https://x/?*** https://y/?***"),
        ("https://x/a.mp4", "https://x/a.mp4"),
        ("is it there? no", "is it there? no"),
    ],
)
def test_query_is_replaced_up_to_its_end(text, redacted):
    assert without_queries(text) == redacted


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("https://cdn.example/a.mp4?X-Amz-Signature=secret#secret", "https://cdn.example/a.mp4"),
        ("https://mary:secret@x@cdn.example/a@b.mp4", "https://cdn.example/a@b.mp4"),
        ("https://cdn.example/a\nb", "https://cdn.example/a b"),
        ("https://cdn.example/" + "a" * 9999, "https://cdn.example/" + "a" * 179 + "…"),
    ],
)
def test_url_in_a_message_is_short_and_shows_no_secret(url, redacted):
    assert redacted_url(url) == redacted
