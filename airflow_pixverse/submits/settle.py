"""Finding the job of a submit that another process has sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_pixverse.api.endpoints import makes_several
from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.search import Traces, find_executing, find_made
from airflow_pixverse.submits.look import LOOK_EVERY, LOOK_FOR

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.marks.mark import Mark


def find_submitted(
    client: PixverseClient,
    mark: Mark,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """
    Return the ids of the jobs of a submit; to find none proves nothing.

    They are looked for at once and, since the service may still be at it, until it was sent ``LOOK_FOR``
    seconds ago.

    :param client: a client that does not retry.
    :raises PixverseError: there is no answer.
    """
    # The clock of the worker that sent it may be ahead.
    ends = min(datetime.fromisoformat(mark.sent_at).timestamp(), clock()) + LOOK_FOR
    while not (job_ids := _listed_now(client, mark)) and (left := ends - clock()) > 0:
        sleep(min(LOOK_EVERY, left))
    return job_ids


def with_made(client: PixverseClient, mark: Mark, executing: list[str]) -> list[str]:
    """
    Return the ids of the jobs of a submit, those that its accounts have made included.

    :param executing: the ids of those that execute; where they are all there can be, nothing is asked.
    :raises PixverseError: what the accounts have made cannot be seen.
    """
    if executing and not makes_several(mark.endpoint):
        return executing
    # Of several images, some may have ended, and others not have begun.
    return list(dict.fromkeys([*executing, *find_made(client, _traces_of(mark))]))


def _listed_now(client: PixverseClient, mark: Mark) -> list[str]:
    executing = find_executing(client, mark.reference)
    try:
        return with_made(client, mark, executing)
    except PixverseError:
        if not executing:
            raise
        return executing


def _traces_of(mark: Mark) -> Traces:
    """Return what a submit with this mark leaves in the API's lists."""
    return Traces(
        endpoint=mark.endpoint,
        reference=mark.reference,
        sent_at=datetime.fromisoformat(mark.sent_at),
        seed=mark.seed,
        email=mark.email,
    )
