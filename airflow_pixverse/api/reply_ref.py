"""The ``replyRef`` of a submit: a prefix that the user chooses, and a random part that is unique."""

import re
import secrets
from urllib.parse import unquote

# "replyRef" of POST videos/create has at most 1024 characters.
_MAX_LENGTH = 1024  # characters
_SEPARATOR = "#"
_RANDOM_BYTES = 12
_RANDOM_LENGTH = 16  # of these bytes as text
_RANDOM_PART = re.compile(rf"[\w-]{{{_RANDOM_LENGTH}}}")
MAX_PREFIX = _MAX_LENGTH - len(_SEPARATOR) - _RANDOM_LENGTH


def new_random_part() -> str:
    """Return a part that no other submit has: staging and production may share names and a token."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def join(prefix: str, random_part: str) -> str:
    """Return the whole ``replyRef``."""
    return f"{prefix}{_SEPARATOR}{random_part}"


def random_part_of(reply_ref: str | None) -> str:
    """Return the random part of a ``replyRef``; empty for none."""
    _, separator, random_part = (reply_ref or "").rpartition(_SEPARATOR)
    return random_part if separator else ""


def has_random_part(reply_ref: str | None) -> bool:
    """Return whether a ``replyRef`` ends as those of this package do, whoever chose its prefix."""
    return bool(_RANDOM_PART.fullmatch(random_part_of(reply_ref)))


def prefix_of(reply_ref: str | None) -> str:
    """Return the prefix of a ``replyRef``, before its random part; empty for none."""
    prefix, _, _ = (reply_ref or "").rpartition(_SEPARATOR)
    return prefix


def is_same(seen: str | None, reference: str) -> bool | None:
    """
    Return whether a ``replyRef`` in a list is that of a submit; None if unknown.

    The random part decides, in any case and with any text around it. An empty text, or a part of the
    reference, may be a reference that the list has cut.

    :param seen: the ``replyRef`` in the list.
    :param reference: the whole ``replyRef`` of the submit.
    """
    text, whole = (unquote(one).strip().casefold() for one in (seen or "", reference))
    random_part = random_part_of(whole)
    if text == whole or (random_part and re.search(rf"(?<![\w-]){re.escape(random_part)}(?![\w-])", text)):
        return True
    return None if text.rstrip(".\N{HORIZONTAL ELLIPSIS}") in whole else False
