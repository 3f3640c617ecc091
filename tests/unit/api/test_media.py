"""Files behind URLs: read to their end or not at all, and nothing that is secret is sent or told."""

import hashlib

import pytest

from airflow_pixverse.api.errors import (
    PixverseFatalError,
    PixverseLinkExpiredError,
    PixverseTransientError,
)
from airflow_pixverse.api.media import MediaClient, shown
from airflow_pixverse.simulator import faults

from .raw_server import RawServer, always, tls_context

FILM = bytes(range(256)) * 700  # more than two reads
SHORT = (0.1, 0.5)


def file_answer(body=FILM, *, status="200 OK", length=None, headers="Content-Type: video/mp4\r\n"):
    """An answer; ``length`` is what it says of its length, and True stands for the truth."""
    said = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {said}\r\n{headers}\r\n".encode() + body


def redirect_to(location, status="302 Found"):
    return file_answer(b"", status=status, headers=f"Location: {location}\r\n")


def once(data):
    """Answer one request and hang up."""

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(data)

    return serve


def read(url, *, offset=0, validator="", **kwargs):
    """Read a file of this machine: what is known of it, and its bytes."""
    client = MediaClient(**{"allow_private": True, "timeout": (2.0, 5.0), **kwargs})
    with client.open(url, offset=offset, validator=validator) as media:
        return media, b"".join(media.chunks)


def error_of(kind, serve, path="/a.mp4", **kwargs):
    with RawServer(serve) as server, pytest.raises(kind) as caught:
        read(server.url + path, **kwargs)
    return str(caught.value)


@pytest.fixture
def film(sim):
    """A video at the simulator: its URL."""
    sim.media_bytes = 200_000
    sim.end_job(sim.start_job())
    return f"{sim.url}/media/1.mp4"


def test_a_file_is_read_with_what_is_known_of_it(sim, film):
    media, content = read(film)
    assert (media.content_type, media.size, media.begins_at) == ("video/mp4", 200_000, 0)
    assert media.validator == '"1-200000"'
    assert hashlib.sha256(content).hexdigest() == sim.media_sha256(sim.jobs[0].id)


# What is sent


def test_nothing_secret_is_sent_not_even_after_a_redirect(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    monkeypatch.setenv("NETRC", str(netrc))
    with RawServer(always(file_answer())) as cdn:
        other = f"http://localhost:{cdn.port}/film"
        cookie = file_answer(
            b"", status="302 Found", headers=f"Location: {other}\r\nSet-Cookie: session=secret; Path=/\r\n"
        )
        netrc.write_text(
            "machine 127.0.0.1 login me password secret\nmachine localhost login me password x\n"
        )
        netrc.chmod(0o600)
        with RawServer(always(cookie)) as server:
            _, content = read(f"{server.url}/a.mp4?signature=s")
            read(f"{server.url}/b.mp4")
        assert content == FILM
        heads = [request.lower() for _, request in server.requests + cdn.requests]
    assert len(heads) == 4
    for head in heads:
        for header in (b"authorization", b"cookie", b"referer", b"signature=s\r"):
            assert header not in head
    assert b"get /film http/1.1\r\n" in heads[2]


def test_no_cookie_goes_back_to_the_server_that_has_set_it():
    def serve(server, connection):
        while server.read_request(connection):
            again = redirect_to("/again")
            if len(server.requests) == 1:
                connection.sendall(again.replace(b"Location", b"Set-Cookie: a=b; Path=/\r\nLocation"))
            else:
                connection.sendall(file_answer())

    with RawServer(serve) as server:
        read(server.url)
        assert len(server.requests) == 2
        assert all(b"cookie" not in request.lower() for _, request in server.requests)


# Redirects


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temp", "308 Perm"])
def test_a_redirect_to_another_origin_is_followed(sim, film, status):
    with RawServer(always(redirect_to(film, status))) as server:
        media, content = read(server.url)
    assert (media.size, len(content)) == (200_000, 200_000)


def test_the_simulators_redirect_to_another_name_is_followed(sim, film):
    sim.inject(faults.cdn_redirect(), times=2, path=".mp4")
    assert len(read(film)[1]) == 200_000
    assert [request.headers["Host"].partition(":")[0] for request in sim.requests] == [
        "127.0.0.1",
        "localhost",
    ]


def test_a_redirect_without_an_address_is_no_file():
    text = error_of(PixverseTransientError, always(file_answer(b"", status="302 Found")))
    assert text.endswith("answered 302")


def test_five_redirects_are_followed_and_not_one_more():
    def serve(server, connection):
        while server.read_request(connection):
            left = 5 - len(server.requests)
            connection.sendall(redirect_to("/again") if left >= 0 else file_answer())

    with RawServer(serve) as server:
        assert read(server.url)[1] == FILM
    with RawServer(always(redirect_to("/again"))) as server:
        with pytest.raises(PixverseTransientError, match="is redirected too often"):
            read(server.url)
        assert len(server.requests) == 6


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_a_redirect_from_https_to_http_is_refused(tmp_path, scheme):
    context, certificate = tls_context(tmp_path, "127.0.0.1")
    with (
        RawServer(always(file_answer())) as plain,
        RawServer(always(redirect_to(plain.url)), context) as server,
    ):
        with pytest.raises(PixverseFatalError, match="is redirected from https to http, which is refused"):
            read(server.url.replace("https", scheme), ca_bundle=certificate)
        assert plain.connections == 0


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_a_redirect_from_https_to_https_is_followed(tmp_path, scheme):
    context, certificate = tls_context(tmp_path, "127.0.0.1")
    with RawServer(always(file_answer()), context) as cdn:
        location = cdn.url.replace("https", scheme)
        with RawServer(always(redirect_to(location)), context) as server:
            assert read(server.url, ca_bundle=certificate)[1] == FILM


def test_a_certificate_that_is_not_trusted_is_said(tmp_path):
    context, _ = tls_context(tmp_path, "127.0.0.1")
    with RawServer(always(file_answer()), context) as server, pytest.raises(PixverseTransientError) as caught:
        read(server.url)
    assert "certificate" in str(caught.value)


@pytest.mark.parametrize(
    "location",
    ["ftp://example.com/a", "file:///etc/passwd", "http://me:pw@127.0.0.1/x", "http:///x", "http://[bad/x"],
)
def test_a_redirect_to_no_plain_address_is_refused(location):
    with (
        pytest.raises((PixverseFatalError, PixverseTransientError)) as caught,
        RawServer(always(redirect_to(location))) as server,
    ):
        read(server.url)
    assert "pw" not in str(caught.value)


def test_a_redirect_to_an_address_that_is_not_public_is_refused(monkeypatch):
    with RawServer(always(file_answer())) as inner, RawServer(always(redirect_to(inner.url))) as server:
        # This one server counts as public.
        monkeypatch.setattr(
            "airflow_pixverse.api.public_addresses._is_public",
            lambda _: inner.connections + server.connections == 0,
        )
        with pytest.raises(PixverseFatalError, match=r"is no public address"):
            read(server.url, allow_private=False)
        assert (server.connections, inner.connections) == (1, 0)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.mp4",
        "ftp://127.0.0.1/a",
        "file:///etc/passwd",
        "http://me@127.0.0.1/",
        "http://\N{FULLWIDTH DIGIT ONE}27.0.0.1/",
    ],
)
def test_what_is_no_plain_address_is_not_read(url):
    with pytest.raises(
        PixverseFatalError, match=r"is no plain http\(s\) address, without user info and blanks"
    ):
        read(url)


# What is no file


@pytest.mark.parametrize("status", ["401 No", "403 Forbidden", "404 Not Found", "410 Gone"])
def test_a_link_that_leads_to_nothing_any_more_is_told_apart(status):
    text = error_of(
        PixverseLinkExpiredError, always(file_answer(b"", status=status)), "/a.mp4?signature=secret"
    )
    assert f"leads to nothing (any more): it answered {status[:3]}" in text
    assert "secret" not in text


def test_an_expired_link_of_the_simulator_is_told_apart(sim, film):
    sim.link_seconds = 3600
    query = sim.links.query("/media/1.mp4", sim.service.now)
    assert len(read(film + query)[1]) == 200_000
    sim.expire_links()
    with pytest.raises(PixverseLinkExpiredError) as caught:
        read(film + query)
    assert "signature" not in str(caught.value)


@pytest.mark.parametrize("status", ["206 Part", "400 Bad", "416 Range", "429 Slow", "500 Oops", "503 Busy"])
def test_another_status_may_pass(status):
    text = error_of(PixverseTransientError, always(file_answer(b"x", status=status)))
    assert "answered" in text


def test_it_says_when_to_come_again():
    busy = file_answer(b"", status="503 Busy", headers="Retry-After: 7\r\n")
    with RawServer(always(busy)) as server, pytest.raises(PixverseTransientError) as caught:
        read(server.url)
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    "kind", ["text/html; charset=utf-8", "Application/JSON", "text/plain", "application/xml"]
)
def test_a_page_in_place_of_a_file_is_refused(kind):
    text = error_of(
        PixverseTransientError, always(file_answer(b"<html>", headers=f"Content-Type: {kind}\r\n"))
    )
    assert "instead of a file" in text


@pytest.mark.parametrize("kind", ["", "video/mp4 evil", "no type", "\x1b[31m/x"])
def test_an_odd_content_type_is_none(kind):
    headers = f"Content-Type: {kind}\r\n" if kind else ""
    with RawServer(always(file_answer(headers=headers))) as server:
        media, content = read(server.url)
    assert (media.content_type, content) == ("", FILM)


@pytest.mark.parametrize(
    ("encoding", "taken"), [("gzip", False), ("br", False), ("identity", True), ("", True)]
)
def test_an_encoded_file_is_refused(encoding, taken):
    sent = file_answer(headers=f"Content-Encoding: {encoding}\r\nContent-Type: video/mp4\r\n")
    if taken:
        with RawServer(always(sent)) as server:
            assert read(server.url)[1] == FILM
            assert b"Accept-Encoding: identity\r\n" in server.requests[0][1]
    else:
        assert "encoded file" in error_of(PixverseTransientError, always(sent))


# Where a file ends


def test_a_file_that_is_shorter_than_it_was_said_to_be_is_not_whole():
    text = error_of(PixverseTransientError, once(file_answer(length=len(FILM) + 1)))
    assert "the connection broke off" in text


def test_what_comes_after_the_length_is_not_of_the_file():
    with RawServer(once(file_answer(FILM + b"more", length=len(FILM)))) as server:
        assert read(server.url)[1] == FILM


def test_a_file_without_a_length_is_read_to_its_end():
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n"
    with RawServer(once(head + FILM)) as server:
        media, content = read(server.url)
    assert (media.size, content) == (None, FILM)


@pytest.mark.parametrize("length", ["-5", "five", "9" * 5000, "5, 6", "\u00b2"])
def test_a_length_that_is_none_ends_in_a_plain_error_or_is_none(length):
    sent = b"HTTP/1.1 200 OK\r\nContent-Length: " + length.encode("latin-1") + b"\r\n\r\n" + FILM
    with RawServer(once(sent)) as server:
        try:
            media, content = read(server.url)
        except PixverseTransientError:
            return
    assert (media.size, content) == (None, FILM)


def chunked(*chunks):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def test_a_file_in_chunks_is_read_to_its_end():
    with RawServer(once(chunked(FILM, FILM, b""))) as server:
        assert read(server.url)[1] == FILM * 2


@pytest.mark.parametrize(
    "sent",
    [chunked(FILM), chunked(FILM)[:-1000], chunked(FILM) + b"5\r\n", chunked(FILM) + b"zz\r\n", chunked()],
)
def test_chunks_that_are_cut_off_are_no_whole_file(sent):
    assert "127.0.0.1" in error_of(PixverseTransientError, once(sent))


@pytest.mark.parametrize("after", [0, 1, 70_000, 199_999])
def test_a_download_that_is_cut_off_is_no_whole_file(sim, film, after):
    sim.inject(faults.cut(after=after), path=".mp4")
    with pytest.raises(PixverseTransientError, match="broke off"):
        read(film)


# What takes too long


def stalling(begin, unit=b""):
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(begin)
        if unit:
            server.drip(connection, unit)
        else:
            server.hung_up.wait(30)
            connection.recv(1)

    return serve


LONG = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 9999999\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "unit"),
    [
        pytest.param(b"HTTP/1.1 200 ", b"x", id="status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"x", id="header"),
        pytest.param(LONG, b"x", id="body"),
        pytest.param(LONG + FILM, b"x", id="later in the body"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b"x", id="body until the connection is closed"),
        pytest.param(chunked(FILM), b"1\r\nx\r\n", id="chunks"),
    ],
)
def test_a_file_that_drips_is_given_up(begin, unit):
    with RawServer(stalling(begin, unit)) as server:
        with pytest.raises(PixverseTransientError, match=r"sent less than 65536 bytes within 0\.6 s"):
            read(server.url, timeout=SHORT)
        assert server.hung_up.wait(10)


def test_a_server_that_falls_silent_is_given_up():
    with RawServer(stalling(LONG + FILM)) as server:
        with pytest.raises(PixverseTransientError, match=r"silent for 0\.5 s|within 0\.6 s"):
            read(server.url, timeout=SHORT)
        server.hung_up.set()


def test_a_slow_reader_is_no_slow_server():
    with RawServer(always(file_answer())) as server:
        client = MediaClient(allow_private=True, timeout=(0.05, 0.1))
        with client.open(server.url) as media:
            first = next(media.chunks)
            server.hung_up.wait(0.5)  # as a store that takes its time
            assert first + b"".join(media.chunks) == FILM


def test_a_file_may_take_longer_than_the_limit_as_long_as_it_moves():
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(LONG.replace(b"9999999", b"%d" % (6 * 65536)))
        for _ in range(6):
            server.hung_up.wait(0.2)
            connection.sendall(b"x" * 65536)

    with RawServer(serve) as server:
        assert len(read(server.url, timeout=SHORT)[1]) == 6 * 65536


# Parts


def test_a_part_is_asked_for_with_the_validator_of_the_file(sim, film):
    whole = read(film)[1]
    media, rest = read(film, offset=1000, validator='"1-200000"')
    assert (media.begins_at, media.size, rest) == (1000, 200_000, whole[1000:])
    sent = sim.requests[-1].headers
    assert (sent["Range"], sent["If-Range"]) == ("bytes=1000-", '"1-200000"')


def test_a_file_that_has_changed_is_sent_whole(film):
    media, content = read(film, offset=1000, validator='"1-777"')
    assert (media.begins_at, len(content)) == (0, 200_000)


def test_a_server_that_knows_no_parts_sends_it_whole(sim, film):
    sim.inject(faults.ignore_range(), path=".mp4")
    media, content = read(film, offset=1000, validator='"1-200000"')
    assert (media.begins_at, len(content)) == (0, 200_000)


def test_what_begins_behind_the_end_may_pass(film):
    with pytest.raises(PixverseTransientError, match="answered 416"):
        read(film, offset=200_000, validator='"1-200000"')


@pytest.mark.parametrize("said", ["", "bytes */10", "bytes 5-9/*", "items 5-9/10", "bytes 5-9/" + "9" * 5000])
def test_a_part_that_is_not_described_is_refused(said):
    part = file_answer(b"abcde", status="206 Part", headers=f"Content-Range: {said}\r\n")
    text = error_of(
        PixverseTransientError, always(part), "/a.mp4?signature=secret", offset=5, validator='"x"'
    )
    assert "answered a part that it does not describe" in text
    assert "secret" not in text


def test_a_part_that_ends_before_the_file_does_is_not_whole():
    part = file_answer(b"abc", status="206 Part", headers="Content-Range: bytes 5-7/10\r\n")
    text = error_of(PixverseTransientError, always(part), offset=5, validator='"x"')
    assert text.endswith("ended after 8 of 10 bytes")


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ('ETag: "a"\r\nLast-Modified: Mon, 01 Jan 2026 00:00:00 GMT\r\n', '"a"'),
        ('ETag: W/"a"\r\nLast-Modified: Mon, 01 Jan 2026 00:00:00 GMT\r\n', "Mon, 01 Jan 2026 00:00:00 GMT"),
        ("Last-Modified: Mon, 01 Jan 2026 00:00:00 GMT\r\n", "Mon, 01 Jan 2026 00:00:00 GMT"),
        ('ETag: W/"a"\r\n', ""),
        ("", ""),
    ],
)
def test_only_what_tells_every_byte_is_a_validator(headers, validator):
    with RawServer(always(file_answer(headers=headers))) as server:
        assert read(server.url)[0].validator == validator


# What errors say


def test_no_error_shows_what_is_signed():
    url = "https://cdn.example/a.mp4?X-Amz-Signature=secret#secret"
    assert shown(url) == "https://cdn.example/a.mp4"
    assert shown("https://mary:secret@x@cdn.example/a@b.mp4") == "https://cdn.example/a@b.mp4"
    assert len(shown("https://cdn.example/" + "a" * 9999)) < 300
    assert "\n" not in shown("https://cdn.example/a\nb")


@pytest.mark.parametrize(
    "serve",
    [
        always(b"garbage\r\n\r\n"),
        once(b""),
        once(file_answer(length=10**6)),
        always(redirect_to("http://127.0.0.1:1/?signature=secret")),
        always(redirect_to("/again?signature=secret")),
        always(redirect_to("ftp://x/?signature=secret")),
    ],
)
def test_no_trouble_shows_what_is_signed(serve, caplog):
    text = error_of((PixverseFatalError, PixverseTransientError), serve, "/a.mp4?signature=secret")
    assert "/a.mp4 " in text
    assert "secret" not in text


def test_a_server_that_is_not_there_may_come_back():
    with pytest.raises(PixverseTransientError, match="Connection refused"):
        read("http://127.0.0.1:1/a.mp4")


def test_a_connection_is_closed_when_reading_ends_early():
    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(LONG)
        server.drip(connection, b"x" * 65536)

    with RawServer(serve) as server:
        with MediaClient(allow_private=True).open(server.url) as media:
            next(media.chunks)
        assert server.hung_up.wait(10)
