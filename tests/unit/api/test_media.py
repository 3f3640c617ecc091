"""Files behind URLs: read to their end or not at all, and nothing that is secret is sent or told."""

import hashlib

import pytest

from airflow_pixverse.api.errors import (
    PixverseFatalError,
    PixverseLinkExpiredError,
    PixverseTransientError,
)
from airflow_pixverse.api.http import public_addresses
from airflow_pixverse.api.media import MediaClient
from airflow_pixverse.simulator import faults
from tests.helpers.clients import error_of
from tests.helpers.raw_server import always, dripping, once

FILM = bytes(range(256)) * 700  # more than two reads
OK = b"HTTP/1.1 200 OK\r\n"
LONG = OK + b"Content-Type: video/mp4\r\nContent-Length: 9999999\r\n\r\n"
SHORT = (0.1, 0.5)
PART = {"offset": 5, "validator": '"x"'}


def film_answer(body=FILM, *, status="200 OK", length=None, headers="Content-Type: video/mp4\r\n"):
    """An answer; ``length`` is what it says of its length, and None stands for the truth."""
    said = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {said}\r\n{headers}\r\n".encode() + body


def typed(content_type, body=FILM):
    return film_answer(body, headers=f"Content-Type: {content_type}\r\n")


def part(body, content_range):
    return film_answer(body, status="206 Part", headers=f"Content-Range: {content_range}\r\n")


def chunked(*chunks):
    head = OK + b"Content-Type: video/mp4\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def redirect_to(location, status="302 Found", headers=""):
    return film_answer(b"", status=status, headers=f"{headers}Location: {location}\r\n")


def read(url, *, offset=0, validator="", **kwargs):
    """Read a file of this machine: what is known of it, and its bytes."""
    client = MediaClient(**{"allow_private": True, "timeout": (2.0, 5.0), **kwargs})
    with client.open(url, offset=offset, validator=validator) as media:
        return media, b"".join(media.chunks)


@pytest.fixture
def film(sim):
    """A video at the simulator: its URL."""
    sim.media_bytes = 200_000
    sim.end_job(sim.start_job())
    return f"{sim.url}/media/1.mp4"


# The request


def test_nothing_secret_is_sent_even_after_a_redirect(raw_server, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\nmachine localhost login me password x\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    cdn = raw_server(film_answer())
    cookie = "Set-Cookie: session=secret; Path=/\r\n"
    server = raw_server(redirect_to(f"http://localhost:{cdn.port}/film", headers=cookie))
    _, content = read(f"{server.url}/a.mp4?signature=s")
    read(f"{server.url}/b.mp4")
    assert content == FILM
    heads = [request.lower() for _, request in server.requests + cdn.requests]
    assert len(heads) == 4
    for head in heads:
        for header in (b"authorization", b"cookie", b"referer", b"signature=s\r"):
            assert header not in head
    assert b"get /film http/1.1\r\n" in heads[2]
    assert b"accept: */*\r\naccept-encoding: identity\r\nuser-agent: airflow-pixverse/" in heads[0]


def test_cookie_of_a_redirect_is_not_sent_back(raw_server):
    def serve(server, connection):
        again = redirect_to("/again", headers="Set-Cookie: a=b; Path=/\r\n")
        while server.read_request(connection):
            connection.sendall(again if len(server.requests) == 1 else film_answer())

    server = raw_server(serve)
    read(server.url)
    assert len(server.requests) == 2
    assert all(b"cookie" not in request.lower() for _, request in server.requests)


# Redirects


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temp", "308 Perm"])
def test_redirect_to_another_origin_is_followed(raw_server, film, status):
    media, content = read(raw_server(redirect_to(film, status)).url)
    assert (media.size, len(content)) == (200_000, 200_000)


def test_redirects_are_followed_five_times(raw_server):
    def serve(server, connection):
        while server.read_request(connection):
            left = 5 - len(server.requests)
            connection.sendall(redirect_to("/again") if left >= 0 else film_answer())

    assert read(raw_server(serve).url)[1] == FILM
    endless = raw_server(redirect_to("/again"))
    with pytest.raises(PixverseTransientError, match=r"is redirected too often$"):
        read(endless.url)
    assert len(endless.requests) == 6


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_redirect_from_https_is_followed_to_https_only(raw_server, tls, scheme):
    context, certificate = tls
    plain, cdn = raw_server(film_answer()), raw_server(film_answer(), context)
    server = raw_server(redirect_to(plain.url), context)
    with pytest.raises(PixverseFatalError, match=r"is redirected from https to http, which is refused$"):
        read(server.url.replace("https", scheme), ca_bundle=certificate)
    assert plain.connections == 0
    server = raw_server(redirect_to(cdn.url.replace("https", scheme)), context)
    assert read(server.url, ca_bundle=certificate)[1] == FILM


@pytest.mark.parametrize(
    "location",
    ["ftp://example.com/a", "file:///etc/passwd", "http://me:pw@127.0.0.1/x", "http:///x", "http://[bad/x"],
)
def test_redirect_to_no_plain_address_is_refused(raw_server, location):
    error = error_of(read, raw_server(redirect_to(location)).url)
    assert isinstance(error, (PixverseFatalError, PixverseTransientError))
    assert "pw" not in str(error)


def test_redirect_to_an_address_that_is_not_public_is_refused(raw_server, monkeypatch):
    inner = raw_server(film_answer())
    server = raw_server(redirect_to(inner.url))
    # This one server counts as public.
    monkeypatch.setattr(public_addresses, "_is_public", lambda _: inner.connections + server.connections == 0)
    with pytest.raises(PixverseFatalError, match=r"is no public address"):
        read(server.url, allow_private=False)
    assert (server.connections, inner.connections) == (1, 0)


@pytest.mark.parametrize(
    "url", ["", "a.mp4", "ftp://127.0.0.1/a", "file:///x", "http://me@127.0.0.1/", "http://\uff1127.0.0.1/"]
)
def test_address_that_is_not_plain_is_refused(url):
    words = r"is no plain http\(s\) address, without user info and blanks"
    with pytest.raises(PixverseFatalError, match=words):
        read(url)


# Responses that are no file


@pytest.mark.parametrize("status", ["401 No", "403 Forbidden", "404 Not Found", "410 Gone"])
def test_link_that_leads_to_nothing_is_expired(raw_server, status):
    url = raw_server(film_answer(b"", status=status)).url + "/a.mp4?signature=secret"
    error = error_of(read, url, kind=PixverseLinkExpiredError)
    assert f"/a.mp4 leads to nothing (any more): it answered {status[:3]}" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("status", ["302 Found", "400 Bad", "416 Range", "429 Slow", "500 Oops", "503 Busy"])
def test_status_of_any_other_kind_is_transient(raw_server, status):
    server = raw_server(film_answer(b"x", status=status, headers="Retry-After: 7\r\n"))
    error = error_of(read, server.url, kind=PixverseTransientError)
    assert str(error).endswith(f"answered {status[:3]}")
    assert error.retry_after == 7


TEXT, PAGE = b'{"error": "gone", "code": 404}', b"<html>" + b"x" * 200_000
NO_FILE = {
    "html": (typed("text/html; charset=utf-8"), "answered text/html instead of a file"),
    "json": (typed("Application/JSON"), "answered application/json instead of a file"),
    "problem": (typed("application/problem+json"), "instead of a file"),
    "soap": (typed("Application/SOAP+XML; charset=utf-8"), "instead of a file"),
    "text of no type": (film_answer(TEXT, headers=""), "/a.mp4 answered text instead of a file"),
    "text of an odd type": (typed("odd", TEXT), "answered text instead of a file"),
    "text of a vague type": (typed("binary/octet-stream", TEXT), "answered text instead of a file"),
    "page of no type": (film_answer(PAGE, headers=""), "answered text instead of a file"),
    "text of no length": (OK + b"\r\n" + TEXT, "answered text instead of a file"),
    "a part": (film_answer(status="206 Part"), "answered a part that it does not describe"),
    "gzip": (film_answer(headers="Content-Encoding: gzip\r\n"), "an encoded file, which was not asked for"),
    "br": (film_answer(headers="Content-Encoding: br\r\n"), "an encoded file, which was not asked for"),
    "shorter than said": (film_answer(length=len(FILM) + 1), "the connection broke off"),
    "no last chunk": (chunked(FILM), ""),
    "half a chunk": (chunked(FILM)[:-1000], ""),
    "chunk without bytes": (chunked(FILM) + b"5\r\n", ""),
    "chunk of an odd size": (chunked(FILM) + b"zz\r\n", ""),
    "no chunk": (chunked(), ""),
}


@pytest.mark.parametrize(("sent", "words"), NO_FILE.values(), ids=NO_FILE)
def test_response_that_is_no_whole_file_is_transient(raw_server, sent, words):
    url = raw_server(once(sent)).url + "/a.mp4?signature=secret"
    error = error_of(read, url, kind=PixverseTransientError)
    assert "/a.mp4 " in str(error)
    assert str(error).endswith(words)
    assert "secret" not in str(error)


FILES = {
    "a type that is text to look at": (typed("image/svg+xml", b"<svg/>"), "image/svg+xml", b"<svg/>"),
    "a type with parameters": (typed("Video/MP4; codecs=x"), "video/mp4", FILM),
    "no type": (film_answer(headers=""), "", FILM),
    "an odd type": (typed("video/mp4 evil"), "", FILM),
    "half a type": (typed("no type"), "", FILM),
    "a hostile type": (typed("\x1b[31m/x"), "", FILM),
    "no encoding": (film_answer(headers="Content-Encoding: identity\r\n"), "", FILM),
    "an empty encoding": (film_answer(headers="Content-Encoding: \r\n"), "", FILM),
    "more than the length": (film_answer(FILM + b"more", length=len(FILM)), "video/mp4", FILM),
    "no length": (OK + b"Content-Type: video/mp4\r\n\r\n" + FILM, "video/mp4", FILM),
    "chunks": (chunked(FILM, FILM, b""), "video/mp4", FILM * 2),
    "nothing": (film_answer(b"", headers=""), "", b""),
}


@pytest.mark.parametrize(("sent", "content_type", "content"), FILES.values(), ids=FILES)
def test_file_is_read_to_its_end(raw_server, sent, content_type, content):
    media, received = read(raw_server(once(sent)).url)
    assert (media.content_type, received) == (content_type, content)
    assert media.size == (len(content) if b"Content-Length" in sent else None)


def test_file_of_this_machine_is_read_through_no_proxy(raw_server):
    assert read(raw_server(film_answer()).url, proxy="http://127.0.0.1:1")[1] == FILM


def test_file_of_the_simulator_is_read_with_what_is_known_of_it(sim, film):
    media, content = read(film)
    assert (media.content_type, media.size, media.begins_at) == ("video/mp4", 200_000, 0)
    assert media.validator == '"1-200000"'
    assert hashlib.sha256(content).hexdigest() == sim.media_sha256(sim.jobs[0].id)


@pytest.mark.parametrize("length", ["-5", "five", "9" * 5000, "5, 6", "\u00b2"])
def test_length_that_is_none_is_unknown_or_transient(raw_server, length):
    server = raw_server(once(OK + b"Content-Length: " + length.encode("latin-1") + b"\r\n\r\n" + FILM))
    try:
        media, content = read(server.url)
    except PixverseTransientError:
        return
    assert (media.size, content) == (None, FILM)


# Time limits


@pytest.mark.parametrize(
    ("begin", "unit"),
    [
        pytest.param(b"HTTP/1.1 200 ", b"x", id="status line"),
        pytest.param(OK + b"X: ", b"x", id="header"),
        pytest.param(LONG, b"x", id="body"),
        pytest.param(LONG + FILM, b"x", id="later in the body"),
        pytest.param(OK + b"\r\n", b"\0", id="body until the connection is closed"),
        pytest.param(chunked(FILM), b"1\r\nx\r\n", id="chunks"),
    ],
)
def test_file_that_drips_is_given_up(raw_server, begin, unit):
    server = raw_server(dripping(begin, unit))
    with pytest.raises(PixverseTransientError, match=r"sent less than 65536 bytes within 0\.6 s"):
        read(server.url, timeout=SHORT)
    assert server.hung_up.wait(10)


def test_server_that_falls_silent_is_given_up(raw_server):
    with pytest.raises(PixverseTransientError, match=r"silent for 0\.5 s|within 0\.6 s"):
        read(raw_server(dripping(LONG + FILM, b"")).url, timeout=SHORT)


def test_slow_reader_is_not_taken_for_a_slow_server(raw_server):
    server = raw_server(film_answer())
    with MediaClient(allow_private=True, timeout=(0.05, 0.1)).open(server.url) as media:
        first = next(media.chunks)
        server.hung_up.wait(0.5)  # as a store that takes its time
        assert first + b"".join(media.chunks) == FILM


def test_file_that_moves_may_take_longer_than_the_limit(raw_server):
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(LONG.replace(b"9999999", b"%d" % (6 * 65536)))
        for _ in range(6):
            server.hung_up.wait(0.2)
            connection.sendall(b"x" * 65536)

    assert len(read(raw_server(serve).url, timeout=SHORT)[1]) == 6 * 65536


def test_connection_is_closed_when_reading_ends_early(raw_server):
    server = raw_server(dripping(LONG, b"x" * 65536))
    with MediaClient(allow_private=True).open(server.url) as media:
        next(media.chunks)
    assert server.hung_up.wait(10)


# Parts


def test_part_is_asked_for_with_the_validator_of_the_file(sim, film):
    whole = read(film)[1]
    media, rest = read(film, offset=1000, validator='"1-200000"')
    assert (media.begins_at, media.size, rest) == (1000, 200_000, whole[1000:])
    sent = sim.requests[-1].headers
    assert (sent["Range"], sent["If-Range"]) == ("bytes=1000-", '"1-200000"')


@pytest.mark.parametrize(
    ("knows_parts", "validator"), [(True, '"1-777"'), (False, '"1-200000"')], ids=["changed", "no parts"]
)
def test_file_that_is_sent_whole_in_place_of_a_part_begins_at_zero(sim, film, knows_parts, validator):
    if not knows_parts:
        sim.inject(faults.ignore_range(), path=".mp4")
    media, content = read(film, offset=1000, validator=validator)
    assert (media.begins_at, len(content)) == (0, 200_000)


def test_part_that_looks_like_text_is_read(raw_server):
    assert read(raw_server(part(b"text", "bytes 5-8/9")).url, **PART)[1] == b"text"


@pytest.mark.parametrize("said", ["", "bytes */10", "bytes 5-9/*", "items 5-9/10", "bytes 5-9/" + "9" * 5000])
def test_part_that_is_not_described_is_refused(raw_server, said):
    url = raw_server(part(b"abcde", said)).url + "/a.mp4?signature=secret"
    error = error_of(read, url, kind=PixverseTransientError, **PART)
    assert str(error).endswith("/a.mp4 answered a part that it does not describe")


def test_part_that_ends_before_the_file_does_is_not_whole(raw_server):
    server = raw_server(part(b"abc", "bytes 5-7/10"))
    error = error_of(read, server.url, kind=PixverseTransientError, **PART)
    assert str(error).endswith("ended after 8 of 10 bytes")


DATE = "Mon, 01 Jan 2026 00:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        (f'ETag: "a"\r\nLast-Modified: {DATE}\r\n', '"a"'),
        (f'ETag: W/"a"\r\nLast-Modified: {DATE}\r\n', DATE),
        (f"Last-Modified: {DATE}\r\n", DATE),
        ('ETag: W/"a"\r\n', ""),
        ("", ""),
    ],
)
def test_validator_is_what_tells_every_byte(raw_server, headers, validator):
    assert read(raw_server(film_answer(headers=headers)).url)[0].validator == validator


# Messages


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (always(b"garbage\r\n\r\n"), "got an answer that is not HTTP"),
        (once(b""), "got no whole answer: the connection broke off"),
        (always(redirect_to("http://127.0.0.1:1/?signature=secret")), "cannot connect (Connection refused)"),
        (always(redirect_to("/again?signature=secret")), "is redirected too often"),
        (
            always(redirect_to("ftp://x/?signature=secret")),
            "is redirected to no plain http(s) address, without user info and blanks",
        ),
    ],
)
def test_error_names_the_url_without_its_signature(raw_server, serve, words):
    error = error_of(read, raw_server(serve).url + "/a.mp4?signature=secret")
    assert "/a.mp4 " in str(error)
    assert str(error).endswith(words)
    assert "secret" not in str(error)
