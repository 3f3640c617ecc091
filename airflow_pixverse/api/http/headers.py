"""Headers of responses: dates, ``Retry-After`` and content types. No value of a server raises an error."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# A date far away, or milliseconds instead of seconds, must not stop everything for good.
MAX_RETRY_AFTER = 3600.0  # seconds

MEDIA_TYPES = ("image/", "video/", "audio/")
"""Prefixes of the content types of images, videos and sounds."""

SNIFFED_BYTES = 512
"""Length of the head of a file that tells whether it is text."""

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_TEXT_TYPE = re.compile(r"text/|.*(?:json|xml|html|script|yaml)")
# Text has none of these, says the WHATWG's MIME Sniffing Standard; every image, video and sound has some.
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_UTF_16 = (b"\xfe\xff", b"\xff\xfe")


def parse_http_date(header: str | None) -> datetime | None:
    """Return the time in a header such as ``Date``; None if unknown."""
    try:
        time = parsedate_to_datetime((header or "").strip())
    except (ValueError, OverflowError, TypeError, LookupError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def parse_retry_after(header: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, an hour at most; None if unknown."""
    header = (header or "").strip()
    if _SECONDS.fullmatch(header):
        return min(float(header), MAX_RETRY_AFTER)
    if (time := parse_http_date(header)) is None:
        return None
    return min(max(0.0, (time - datetime.now(UTC)).total_seconds()), MAX_RETRY_AFTER)


def is_text_type(content_type: str) -> bool:
    """Return whether a content type, in lower case, is that of text, JSON, XML or HTML."""
    return not content_type.startswith(MEDIA_TYPES) and _TEXT_TYPE.match(content_type) is not None


def is_text(content: bytes) -> bool:
    """Return whether a file with these first bytes is text, which JSON, XML and HTML are too."""
    head = content[:SNIFFED_BYTES]
    return head.startswith(_UTF_16) or not _BINARY.search(head)
