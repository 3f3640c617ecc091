"""Values and texts from the network are sanitized, and the token is hidden before anything is cut."""

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_pixverse.api.http import sanitizer
from airflow_pixverse.api.http.sanitizer import (
    MAX_DEPTH,
    MAX_LINE,
    MAX_TEXT,
    ExcessiveJsonError,
    Sanitizer,
)

TOKEN = "user:77-s3cr3t/+xYz~Q"
OWN = TOKEN.removeprefix("user:")


@pytest.fixture
def clean():
    """Made within each test, not while they are collected: so `make mutants` knows which tests need it."""
    return Sanitizer(TOKEN)


QUOTED = quote(TOKEN, safe="")
SPELLINGS = [
    *(TOKEN, OWN, TOKEN.upper(), OWN.lower(), f"Bearer {TOKEN}"),
    *(QUOTED, quote(TOKEN), re.sub("%..", lambda code: code[0].lower(), QUOTED), quote(QUOTED, safe="")),
    "".join(f"%{ord(character):02X}" for character in TOKEN),
    TOKEN.replace("/", "\\/"),
    "".join(f"\\u{ord(character):04x}" for character in TOKEN),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_token_is_hidden_in_every_spelling(clean, spelling):
    for text in (clean.text(f"<{spelling}>"), clean.line(f"<{spelling}>")):
        assert "***" in text
        assert "s3cr3t" not in text.lower()
        assert quote("s3cr3t/+").lower() not in text.lower()
    assert clean.holds_token(f"<{spelling}>")
    [value] = clean.json(json.dumps([f"<{spelling}>"]).encode())
    assert value == clean.text(f"<{spelling}>")


def test_token_that_a_document_escapes_is_hidden(clean):
    escaped = "".join(f"\\u{ord(character):04x}" for character in TOKEN)
    assert clean.json(f'{{"{escaped}": "for {escaped}!"}}'.encode()) == {"***": "for ***!"}


@pytest.mark.parametrize("hidden_by", ["\n", "\x1b[0m", "\N{ZERO WIDTH SPACE}", "\x00", "\x08"])
def test_token_that_appears_in_the_line_of_a_text_is_hidden(clean, hidden_by):
    shown = clean.line(TOKEN[:12] + hidden_by + TOKEN[12:])
    assert OWN not in shown


@pytest.mark.parametrize("place", range(MAX_LINE - len(TOKEN) - 2, MAX_LINE + 2))
def test_token_is_hidden_before_a_message_is_cut(clean, place):
    line = clean.line("x" * place + TOKEN)
    assert len(line) <= MAX_LINE
    assert "77-" not in line


@pytest.mark.parametrize("place", [MAX_TEXT - 30, MAX_TEXT - 10, MAX_TEXT - 3, MAX_TEXT])
def test_token_is_hidden_before_a_long_text_is_cut(clean, place):
    text = clean.text("x" * place + TOKEN + "x" * 1000)
    assert MAX_TEXT - 1000 < len(text) <= MAX_TEXT
    assert "77-" not in text
    assert text.endswith("…")


def test_long_text_in_a_document_is_cut(clean):
    assert clean.json(json.dumps(["x" * MAX_TEXT, "x" * (MAX_TEXT + 1)]).encode()) == [
        "x" * MAX_TEXT,
        clean.text("x" * (MAX_TEXT + 1)),
    ]


@pytest.mark.parametrize(
    ("token", "text", "shown"),
    [
        ("user:1-a", "user:12-pixverse:a@example.com-video:1-a", "user:12-pixverse:a@example.com-video:1-a"),
        ("user:1-a", "user:1-a", "***"),
        ("user:1-a", "1-a", "1-a"),
        ("user:1-ab", "1-ab", "***"),
    ],
)
def test_part_of_the_token_is_hidden_from_four_characters_on(token, text, shown):
    assert Sanitizer(token).text(text) == shown


def test_job_id_is_left_alone(clean):
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
def test_line_has_only_characters_that_can_be_seen(clean, text, expected):
    assert clean.line(text) == expected


@given(st.text(st.characters(exclude_categories=())))
def test_line_of_any_text_is_one_and_short(text):
    clean = Sanitizer(TOKEN)
    line = clean.line(text)
    assert line.isprintable()
    assert len(line) <= MAX_LINE
    line.encode()
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
def test_document_becomes_plain_json(clean, document, value):
    assert clean.json(document.encode()) == value


@pytest.mark.parametrize(
    "key",
    ["__classname__", "__version__", "__data__", "__id__", "__type", "__var", "__source", "\\u0000__type"],
)
def test_key_that_airflow_reserves_is_dropped(clean, key):
    assert clean.json(f'[{{"{key}": "datetime", "x": {{"{key}": 1, "y": 2}}}}]'.encode()) == [{"x": {"y": 2}}]


def test_document_that_is_deep_is_cut_at_a_depth(clean):
    depth = MAX_DEPTH + 5
    value = clean.json(("[" * depth + "]" * depth).encode())
    assert json.dumps(value) == "[" * MAX_DEPTH + "null" + "]" * MAX_DEPTH
    value = clean.json(('{"a":' * depth + "1" + "}" * depth).encode())
    assert json.dumps(value, separators=(",", ":")) == '{"a":' * MAX_DEPTH + "null" + "}" * MAX_DEPTH


@pytest.mark.parametrize(
    "document",
    [
        *(b"", b"{", b"<html>", b"\xff\xfe", b'"\xed\xa0\x80"'),
        *(b"[" * 100_000, b"[1," * 200_000, b'{"a":' * 50_000),
    ],
)
def test_document_that_cannot_be_read_is_a_value_error(clean, document):
    with pytest.raises(ValueError):  # noqa: PT011 - no user sees its words
        clean.json(document)


def test_document_with_too_many_values_is_refused(clean):
    with pytest.raises(ExcessiveJsonError, match="holds more than 250000 values"):
        clean.json(b"[" + b"[]," * 250_000 + b"[]]")
    assert len(clean.json(b"[" + b"0," * 200_000 + b"0]")) == 200_001


@pytest.mark.parametrize("pattern", [Sanitizer(TOKEN)._pattern, sanitizer._ANSI, sanitizer._UNFIT])
def test_pattern_repeats_nothing_without_a_bound(pattern):
    """So each character costs a bounded number of steps, and a text as many as it has characters."""
    repeats = re.findall(r"MAX_REPEAT, \((\d+), (\w+),", repr(re._parser.parse(pattern.pattern)))
    assert all(most != "MAXREPEAT" and int(most) <= 50 for _, most in repeats)
    assert repeats or pattern is sanitizer._UNFIT
