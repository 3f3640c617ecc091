"""What comes from the network is made harmless, and the token is hidden before anything is cut."""

import base64
import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_pixverse.api import sanitizer
from airflow_pixverse.api.sanitizer import (
    MAX_DEPTH,
    MAX_TEXT,
    MAX_WORDS,
    ExcessiveJsonError,
    Sanitizer,
    one_line,
    shortened,
)

TOKEN = "user:77-s3cr3t/+xYz~Q"
OWN = TOKEN.removeprefix("user:")


@pytest.fixture
def clean():
    """Made within each test, not while they are collected: so `make mutants` knows which tests need it."""
    return Sanitizer(TOKEN)


def encoded(text: str, urlsafe: bool = False) -> str:
    return (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(text.encode()).decode()


def lower_percent(text: str) -> str:
    return quote(text, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%3A", "%3a")


SPELLINGS = [
    TOKEN,
    OWN,
    TOKEN.upper(),
    OWN.lower(),
    f"Bearer {TOKEN}",
    quote(TOKEN, safe=""),
    quote(TOKEN),
    lower_percent(TOKEN),
    lower_percent(OWN),
    quote(quote(TOKEN, safe=""), safe=""),
    "".join(f"%{ord(character):02X}" for character in TOKEN),
    TOKEN.replace("/", "\\/"),
    "".join(f"\\u{ord(character):04x}" for character in TOKEN),
    *(
        encoded(text, urlsafe)
        for text in (TOKEN, OWN, f"Bearer {TOKEN}", f"{TOKEN}:")
        for urlsafe in (True, False)
    ),
    *(encoded("x" * before + TOKEN + "y" * after).rstrip("=") for before in range(4) for after in range(4)),
    quote(encoded(TOKEN), safe=""),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_token_is_hidden_in_every_spelling(clean, spelling):
    for text in (clean.text(f"<{spelling}>"), clean.words(f"<{spelling}>")):
        assert "***" in text
        for part in ("s3cr3t", quote("s3cr3t/+"), encoded(OWN)[3:-4], encoded(TOKEN)[3:-4]):
            assert part.lower() not in text.lower()
    assert clean.holds_token(f"<{spelling}>")
    [value] = clean.json(json.dumps([f"<{spelling}>"]).encode())
    assert value == clean.text(f"<{spelling}>")


def test_the_token_is_hidden_where_the_document_escapes_it(clean):
    escaped = "".join(f"\\u{ord(character):04x}" for character in TOKEN)
    assert clean.json(f'{{"{escaped}": "for {escaped}!"}}'.encode()) == {"***": "for ***!"}


@pytest.mark.parametrize("hidden_by", ["\n", "\x1b[0m", "\N{ZERO WIDTH SPACE}", "\x00", "\x08"])
def test_a_token_that_appears_when_a_line_is_made_of_a_text_is_hidden(clean, hidden_by):
    shown = clean.words(TOKEN[:12] + hidden_by + TOKEN[12:])
    assert OWN not in shown


@pytest.mark.parametrize("place", range(MAX_WORDS - len(TOKEN) - 2, MAX_WORDS + 2))
def test_the_token_is_hidden_before_a_message_is_cut(clean, place):
    words = clean.words("x" * place + TOKEN)
    assert len(words) <= MAX_WORDS
    assert "77-" not in words


@pytest.mark.parametrize("place", [MAX_TEXT - 30, MAX_TEXT - 10, MAX_TEXT - 3, MAX_TEXT])
def test_the_token_is_hidden_before_a_long_text_is_cut(clean, place):
    text = clean.text("x" * place + TOKEN + "x" * 1000)
    assert MAX_TEXT - 1000 < len(text) <= MAX_TEXT
    assert "77-" not in text
    assert text.endswith("…")


def test_a_long_text_in_a_document_is_cut(clean):
    assert clean.json(json.dumps(["x" * MAX_TEXT, "x" * (MAX_TEXT + 1)]).encode()) == [
        "x" * MAX_TEXT,
        clean.text("x" * (MAX_TEXT + 1)),
    ]


def test_a_token_too_short_to_be_one_hides_nothing_but_itself():
    assert Sanitizer("user:1-a").text("user:12-pixverse:a@example.com-video:1-a") == (
        "user:12-pixverse:a@example.com-video:1-a"
    )
    assert Sanitizer("user:1-a").text("user:1-a") == "***"


def test_a_part_of_the_token_is_hidden_from_four_characters_on():
    assert Sanitizer("user:1-ab").text("1-ab") == "***"
    assert Sanitizer("user:1-a").text("1-a") == "1-a"


def test_the_token_in_base64_is_hidden_from_eight_characters_on():
    last = encoded("1-abcdef").rstrip("=")[-1]  # it holds bits of what follows too
    assert Sanitizer("user:1-abcdef").text(encoded("1-abcdef")) == f"***{last}="
    assert Sanitizer("user:1-abcde").text(encoded("1-abcde")) == encoded("1-abcde")


def test_job_ids_are_left_alone(clean):
    job_id = "user:77-pixverse:a-1@example.com-video:3"
    assert clean.text(job_id) == job_id
    assert not clean.holds_token(job_id)
    assert not clean.holds_token(f"/x?note={quote(job_id)}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nINFO - all is well", "a INFO - all is well"),
        ("a\r\n\tb\x0b\x0c\N{LINE SEPARATOR}c\x85d", "a b c d"),
        ("\x1b[31mred\x1b[0m \x9b1mbold", "red bold"),
        ("\x1b]0;title\x07x", "0;titlex"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}abc\N{POP DIRECTIONAL FORMATTING}", "abc"),
        ("a\N{ZERO WIDTH SPACE}b\N{ZERO WIDTH NO-BREAK SPACE}", "ab"),
        ("\x00\x01a\x7f", "a"),
        ("\ud800a", "\N{REPLACEMENT CHARACTER}a"),
        ("  gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n  ", "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n"),
    ],
)
def test_words_are_one_line_that_can_be_seen(clean, text, expected):
    assert clean.words(text) == expected


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_becomes_one_short_line(text):
    clean = Sanitizer(TOKEN)
    words = clean.words(text)
    assert words.isprintable()
    assert len(words) <= MAX_WORDS
    words.encode()
    clean.text(text).encode()


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", "9223372036854775808"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("1" * 5000, "1" * 5000),
        ("1e400", None),
        ("-1e400", None),
        ("NaN", None),
        ("[Infinity, -Infinity, 1.5, -0]", [None, None, 1.5, 0]),
        ('"a\\u0000b\\ud800"', "ab\N{REPLACEMENT CHARACTER}"),
        ('"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        ('"a\\nb"', "a\nb"),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a\\u0000": 1}', {"a": 1}),
        ("\ufeff[]", []),
        ("true", True),
    ],
)
def test_values_are_plain_json(clean, document, value):
    assert clean.json(document.encode()) == value


@pytest.mark.parametrize(
    "key",
    ["__classname__", "__version__", "__data__", "__id__", "__type", "__var", "__source", "\\u0000__type"],
)
def test_keys_that_airflow_reserves_are_dropped(clean, key):
    assert clean.json(f'[{{"{key}": "datetime", "x": {{"{key}": 1, "y": 2}}}}]'.encode()) == [{"x": {"y": 2}}]


def test_depth_is_bounded(clean):
    depth = MAX_DEPTH + 5
    value = clean.json(("[" * depth + "]" * depth).encode())
    assert json.dumps(value) == "[" * MAX_DEPTH + "null" + "]" * MAX_DEPTH
    value = clean.json(('{"a":' * depth + "1" + "}" * depth).encode())
    assert json.dumps(value, separators=(",", ":")) == '{"a":' * MAX_DEPTH + "null" + "}" * MAX_DEPTH


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"<html>",
        b"\xff\xfe",
        b'"\xed\xa0\x80"',
        b"[" * 100_000,
        b"[1," * 200_000,
        b'{"a":' * 50_000,
    ],
)
def test_what_cannot_be_read_is_a_value_error(clean, document):
    with pytest.raises(ValueError):  # noqa: PT011 - its words are nobody's
        clean.json(document)


def test_the_number_of_values_is_bounded(clean):
    with pytest.raises(ExcessiveJsonError, match="holds more than 250000 values"):
        clean.json(b"[" + b"[]," * 250_000 + b"[]]")
    assert len(clean.json(b"[" + b"0," * 200_000 + b"0]")) == 200_001


@pytest.mark.parametrize("pattern", [Sanitizer(TOKEN)._pattern, sanitizer._ANSI, sanitizer._UNFIT])
def test_no_pattern_repeats_without_a_bound(pattern):
    """So each character costs a bounded number of steps, and a text as many as it has characters."""
    repeats = re.findall(r"MAX_REPEAT, \((\d+), (\w+),", repr(re._parser.parse(pattern.pattern)))
    assert all(most != "MAXREPEAT" and int(most) <= 50 for _, most in repeats)
    assert repeats or pattern is sanitizer._UNFIT


def test_a_text_is_shortened_to_a_limit():
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"
    assert one_line("a b") == "a b"
    assert sanitizer.HIDDEN == "***"
