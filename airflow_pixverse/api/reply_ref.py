"""The ``replyRef`` of a submit: what the submitter wants to see, and a part that no other submit has."""

from __future__ import annotations

import secrets

# "replyRef" of POST videos/create has at most 1024 characters.
_MAX_LENGTH = 1024
_SEPARATOR = "#"
_RANDOM_BYTES = 12
_RANDOM_LENGTH = 16  # of these bytes as text
MAX_PREFIX = _MAX_LENGTH - len(_SEPARATOR) - _RANDOM_LENGTH


def new_random_part() -> str:
    """Return what tells a submit from all others: staging and production may share names and a token."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def join(prefix: str, random_part: str) -> str:
    """Return the whole ``replyRef``."""
    return f"{prefix}{_SEPARATOR}{random_part}"


def random_part_of(reply_ref: str | None) -> str:
    """Return the random part of a ``replyRef``; empty where it has none."""
    _, separator, random_part = (reply_ref or "").rpartition(_SEPARATOR)
    return random_part if separator else ""


def prefix_of(reply_ref: str | None) -> str:
    """Return what a ``replyRef`` has before its random part; empty where it has none."""
    prefix, _, _ = (reply_ref or "").rpartition(_SEPARATOR)
    return prefix
