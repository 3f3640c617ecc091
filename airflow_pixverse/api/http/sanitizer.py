"""
Sanitizing of everything that comes from the network, once, where it enters.

Afterwards, values are plain JSON that Airflow, msgpack and databases can carry, texts in messages are one
short line, and the API token is in neither.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 30
MAX_TEXT = 64 * 1024  # characters
MAX_VALUES = 250_000
MAX_LINE = 300  # characters
MAX_NAME = 512  # characters
HIDDEN = "***"

# Airflow's serialization gives a meaning to keys such as "__classname__", "__version__", "__data__", "__type"
# and "__var"; each version has its own.
_RESERVED = "__"
_INT64 = range(-(2**63), 2**63)
_INT64_DIGITS = 20  # with a sign
# A database takes no NUL, and UTF-8 has no lone surrogates.
_UNFIT = re.compile("\x00|[\ud800-\udfff]")
_ANSI = re.compile("(?:\x1b\\[|\x9b)[0-?]{0,50}[ -/]{0,50}[@-~]|\x1b[ -~]?")
# A shorter part of the token could be a part of any text.
_MIN_PART = 4
_LONGEST_SPELLING = 16  # characters that one of the token's may be written with


class ExcessiveJsonError(ValueError):
    """A document that is too large to be read; its text completes the sentence "the body ..."."""


class Sanitizer:
    """
    Sanitizes values and texts, and hides the API token in them.

    It finds the token in any case, with and without ``user:``, percent-encoded or escaped (even in part, even
    twice).

    :param token: the API token.
    """

    def __init__(self, token: str) -> None:
        own = token.removeprefix("user:")
        forms = [token, own] if len(own) >= _MIN_PART else [token]
        self._forms = [form.lower() for form in forms]
        self._pattern = re.compile("|".join(map(_spellings, forms)), re.IGNORECASE)
        self._longest = _LONGEST_SPELLING * len(token)

    def json(self, document: bytes) -> Any:
        """
        Read a JSON document into sanitized values.

        Integers beyond 64 bits become texts; what is no number (``NaN``, 1e400), and what is nested deeper
        than 30 levels, becomes null; keys that begin with two underscores are dropped; texts are those of
        :meth:`text`.

        :raises ExcessiveJsonError: it holds more than about 250 000 values, or is nested too deeply to be
            read at all.
        :raises ValueError: it is no JSON.
        """
        text = document.decode("utf-8-sig")
        if sum(map(text.count, "[{,")) > MAX_VALUES:
            raise ExcessiveJsonError(f"holds more than {MAX_VALUES} values")
        try:
            value = json.loads(
                text, parse_int=_integer, parse_float=_number, parse_constant=lambda _name: None
            )
        except RecursionError:
            raise ExcessiveJsonError("is nested too deeply") from None
        # Without escapes in the document, what is not in it as a whole is in none of its texts either.
        spotless = len(text) <= MAX_TEXT and not self._may_hold_token(text)
        return self._sanitized(value, MAX_DEPTH, str if spotless else self.text)

    def text(self, text: str) -> str:
        """Return ``text`` without NUL, lone surrogates and the token, and at most 65 536 characters of it."""
        text = _UNFIT.sub(_replacement, text)
        if len(text) <= MAX_TEXT:
            return self._hide(text)
        # A token that the cut has shortened is not recognized, so whatever may be a part of one is dropped.
        return self._hide(text[:MAX_TEXT])[: -self._longest] + "…"

    def line(self, text: str) -> str:
        """
        Return ``text`` as one short line for a message or a log.

        Line breaks become spaces; escape sequences, control characters and invisible ones, such as those that
        turn the direction of writing, are dropped.
        """
        return shortened(self._hide(one_line(self.text(text))), MAX_LINE)

    def holds_token(self, text: str) -> bool:
        """Return whether the token is in ``text``, in any of the spellings that are hidden."""
        return self._hide(text) != text

    def _sanitized(self, value: Any, depth: int, clean: Callable[[str], str]) -> Any:
        kind = type(value)
        if kind is str:
            return clean(value)
        if kind is not dict and kind is not list:
            return value
        if not depth:
            return None
        if kind is list:
            return [self._sanitized(item, depth - 1, clean) for item in value]
        return {
            key: self._sanitized(item, depth - 1, clean)
            for raw_key, item in value.items()
            if not (key := clean(raw_key)).startswith(_RESERVED)
        }

    def _hide(self, text: str) -> str:
        # The pattern is slow, so it runs only where something may be found.
        return self._pattern.sub(HIDDEN, text) if self._may_hold_token(text) else text

    def _may_hold_token(self, text: str) -> bool:
        lower = text.lower()
        return "%" in text or "\\" in text or any(form in lower for form in self._forms)


def one_line(text: str) -> str:
    """Return ``text`` as one line of characters that can be seen."""
    if text.isprintable():
        return text.strip()
    line = " ".join(_ANSI.sub("", text).split())
    return "".join(character for character in line if character.isprintable()).strip()


def shortened(text: str, limit: int = MAX_LINE) -> str:
    """Return ``text``, or its first characters where it has more than ``limit``."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clean_name(name: str) -> str:
    """Return an id or an e-mail as one line that is not too long: it is logged, and sent back in requests."""
    return shortened(one_line(name), MAX_NAME)


def _spellings(form: str) -> str:
    """Return a pattern of ``form``, its characters as they are, percent-encoded, or escaped as in JSON."""
    return "".join(
        rf"(?:{re.escape(character)}|\\{{1,3}}{re.escape(character)}"
        rf"|(?:%(?:25){{0,3}}|\\{{1,3}}u00|\\{{1,3}}x){ord(character):02x})"
        for character in form
    )


def _replacement(match: re.Match[str]) -> str:
    return "" if match[0] == "\x00" else "\N{REPLACEMENT CHARACTER}"


def _integer(digits: str) -> int | str:
    if len(digits) > _INT64_DIGITS or (number := int(digits)) not in _INT64:
        return digits
    return number


def _number(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None
