"""Headers: ``Retry-After`` in both forms, content types, and text in place of an image, a video or sound."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_pixverse.api.http.headers import is_text, is_text_type, parse_retry_after
from airflow_pixverse.simulator.media import FORMATS, MediaFile


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *[("0", 0), ("17", 17), (" 17 ", 17), ("2.5", 2.5), ("3601", 3600), ("9" * 400, 3600)],
        ("Wed, 25 Sep 2024 02:00:00 GMT", 0),
        *[(odd, None) for odd in (None, "", "soon", "-1", "1e3", "nan", "inf", "\N{ARABIC-INDIC DIGIT ONE}")],
    ],
)
def test_retry_after_is_up_to_an_hour_or_unknown(header, seconds):
    assert parse_retry_after(header) == seconds


@pytest.mark.parametrize(("minutes", "seconds"), [(50, 3000), (2000, 3600)])
def test_retry_after_as_a_date_is_up_to_an_hour(minutes, seconds):
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    assert parse_retry_after(format_datetime(moment, usegmt=True)) == pytest.approx(seconds, abs=10)
    unzoned = moment.strftime("%a, %d %b %Y %H:%M:%S -0000")
    assert parse_retry_after(unzoned) == pytest.approx(seconds, abs=10)


@given(
    st.text()
    | st.builds(
        "{}, {} {} {} {}:{}:{} {}".format,
        st.sampled_from(["Mon", "x", ""]),
        *[st.sampled_from(["1", "31", "99999999999999999999", "-1", "x"])] * 1,
        st.sampled_from(["Jan", "Feb", "0"]),
        *[st.sampled_from(["1", "0", "9999", "99999999999999999999", "-5", ""])] * 4,
        st.sampled_from(["GMT", "+9999", "-99999999999999999999", "x"]),
    )
)
@example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
@example("Mon, 01 Jan 9999 23:59:59 -2359")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
def test_retry_after_of_any_text_raises_nothing(header):
    seconds = parse_retry_after(header)
    assert seconds is None or 0 <= seconds <= 3600


TEXT_TYPES = [
    *("text/html", "text/plain", "application/json", "application/problem+json", "application/vnd.api+json"),
    *("application/x-ndjson", "application/xml", "application/atom+xml", "application/xhtml+xml"),
    *("application/javascript", "application/yaml"),
]
OTHER_TYPES = [
    *("video/mp4", "image/svg+xml", "audio/mpeg", "application/mp4", "application/octet-stream", ""),
]


@pytest.mark.parametrize("content_type", TEXT_TYPES + OTHER_TYPES)
def test_content_type_of_text_is_recognized(content_type):
    assert is_text_type(content_type) == (content_type in TEXT_TYPES)


@pytest.mark.parametrize(
    "head",
    [
        b'{"error": "gone"}',
        b' \r\n\t[{"error": 1}]',
        b"<!DOCTYPE html><html>",
        b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        b"\xef\xbb\xbf{}",
        '{"error": "gone"}'.encode("utf-16"),
        b"\xfe\xff\0{",
        "Nicht gefunden: \N{CAT FACE} \u00fc".encode(),
        "caf\u00e9".encode("latin-1"),
        b"Internal Server Error",
        b"\x1b[31mred",
        b"x" * 512 + b"\0",
    ],
)
def test_first_bytes_of_text_are_recognized(head):
    assert is_text(head)


@pytest.mark.parametrize(
    "head",
    [
        *(b"".join(MediaFile(1, suffix, 4096).read(0, 4096)) for suffix in FORMATS),
        *(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0\0\x10JFIF", b"GIF89a\x01\0\x01\0"),
        *(b"\0\0\0\x1cftypqt  ", b"\x1aE\xdf\xa3"),
        *(b"OggS\0\x02", b"fLaC\0\0\0\x22", b"RIFF\x24\0\0\0WAVEfmt ", b"ID3\x04\0\0"),
    ],
)
def test_first_bytes_of_images_videos_and_sounds_are_no_text(head):
    assert not is_text(head)
