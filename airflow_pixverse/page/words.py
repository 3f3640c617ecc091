"""Words of the service that the page shows, without what only concerns the owner of the token."""

from __future__ import annotations

import re

from airflow_pixverse.api.job_id import parse_job_id

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*")
_USER = re.compile(r"user:[\w-]*", re.IGNORECASE)


def harmless(words: str) -> str:
    """Return words of the service without addresses and numbers of users."""
    return _USER.sub("user:...", _ADDRESS.sub("(address)", words))


def short_job_id(job_id: str | None) -> str:
    """Return the number of a job at PixVerse, or an id of another form, without the number of the user."""
    parsed = parse_job_id(job_id or "")
    return harmless(parsed.number if parsed else job_id or "")
