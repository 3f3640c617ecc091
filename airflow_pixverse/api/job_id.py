"""Job ids: what they tell, and where in the API the result of a job is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

# The folder of the API for each kind of job.
FOLDERS: Mapping[str, str] = MappingProxyType(
    {"video": "videos", "image": "images", "music": "music", "speech": "speech"}
)


class JobId(NamedTuple):
    """
    What an id ``user:<user>-pixverse:<email>-<kind>:<number>`` tells.

    :param user: number of the user at useapi.net.
    :param email: the PixVerse account that runs the job.
    :param kind: ``video``, ``image``, ``music``, ``speech`` or a kind added since.
    :param number: id of the job at PixVerse.
    """

    user: str
    email: str
    kind: str
    number: str


def parse_job_id(job_id: str) -> JobId | None:
    """
    Return what a job id tells, or None for an id of another form.

    E-mails contain "-", so the kind is what follows the last one.
    """
    head, _, number = job_id.rpartition(":")
    user, _, account_and_kind = head.partition("-pixverse:")
    email, _, kind = account_and_kind.rpartition("-")
    is_whole = user.startswith("user:") and number and email and kind and ":" not in kind
    return JobId(user.removeprefix("user:"), email, kind, number) if is_whole else None
