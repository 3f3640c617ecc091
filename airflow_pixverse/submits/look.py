"""The look that follows a submit whose answer was lost: the process that sent it looks for its job."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.search import find_executing

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient

# How long it looks for a job, how often, and how long at most it may not have seen the list, in seconds.
LOOK_FOR = 45.0
LOOK_EVERY = 5.0
LONGEST_GAP = 10.0


class Finding(StrEnum):
    """What a look has shown."""

    FOUND = "found"
    NOT_LISTED = "not listed"
    """It was not listed in all that time, in which the list was never out of sight for long."""
    GAPS = "gaps"
    """It was not listed when the list could be seen, which was not always."""


class Look(NamedTuple):
    """
    How a look ended.

    :param finding: what it has shown.
    :param job_ids: the jobs that were found.
    """

    finding: Finding
    job_ids: list[str]


def look_for_lost_job(
    client: PixverseClient,
    reference: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Look:
    """
    Look for a job in the executing list, at once and for ``LOOK_FOR`` seconds.

    :param client: a client that does not retry.
    :param reference: the ``replyRef`` of the job.
    """
    seen_at = clock()
    ends = seen_at + LOOK_FOR
    has_gaps = False
    while True:
        asked_at = clock()
        try:
            job_ids = find_executing(client, reference)
        except PixverseError:
            pass  # the list is out of sight, which the clock tells
        else:
            if job_ids:
                return Look(Finding.FOUND, job_ids)
            has_gaps = has_gaps or asked_at - seen_at > LONGEST_GAP
            seen_at = asked_at
        now = clock()
        if now >= ends:
            has_gaps = has_gaps or now - seen_at > LONGEST_GAP
            return Look(Finding.GAPS if has_gaps else Finding.NOT_LISTED, [])
        sleep(min(LOOK_EVERY, ends - now))
