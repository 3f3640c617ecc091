"""How long a server asks its clients to wait."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# A date far away, or milliseconds instead of seconds, must not stop everything for good.
MAX_RETRY_AFTER = 3600.0

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def seconds_to_wait(header: str | None) -> float | None:
    """
    Return the seconds that a ``Retry-After`` header asks for, a number or a date; an hour at most.

    Return None where there is none or it cannot be read. Nothing that a server writes raises.
    """
    header = (header or "").strip()
    if _SECONDS.fullmatch(header):
        return min(float(header), MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError, TypeError, LookupError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), MAX_RETRY_AFTER)
