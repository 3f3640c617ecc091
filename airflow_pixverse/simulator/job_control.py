"""What a test, or a person through ``/simulator/``, can do to jobs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from airflow_pixverse.simulator.fates import outcome_named
from airflow_pixverse.simulator.fields import FieldError, number, text

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_pixverse.simulator.service import Service
    from airflow_pixverse.simulator.state import Job


class JobControl:
    """
    Starts and ends jobs, decides what becomes of those that are submitted, and shows all of them.

    :param service: the accounts and jobs
    """

    def __init__(self, service: Service) -> None:
        self.service = service

    def start_job(
        self,
        email: str | None = None,
        *,
        type: str = "video",  # noqa: A002 - the API's word
        seconds: float | None = None,
        started: datetime | None = None,
        reply_url: str | None = None,
        reply_ref: str | None = None,
        outcome: str = "completed",
        reason: str | None = None,
        website: bool = False,
    ) -> str:
        """
        Start a job, and return its id.

        :param email: the account; without it, a random one with a free slot
        :param type: ``video``, ``image``, ``music``, or any other
        :param seconds: how long it runs from now on; without it, until :meth:`end_job`
        :param started: the start that the API shows (with a time zone); without it, now
        :param reply_url: its ``replyUrl``
        :param reply_ref: its ``replyRef``
        :param outcome: how it ends: ``completed``, ``failed`` or ``moderated``
        :param reason: why it fails or is moderated
        :param website: somebody starts it on the website: it takes a slot, but the scheduler endpoints do not
            know of it, so that a submit may be refused although a slot looks free
        :raises AtCapacityError: when no slot is free
        :raises UnknownAccountError: when there is no such account
        :raises AccountError: when the account has a pending error
        """
        if started is not None and started.tzinfo is None:
            raise FieldError("started", "must have a time zone")
        return self.service.start(
            text("type", type),
            email,
            seconds=math.inf if seconds is None else number("seconds", seconds),
            started=None if started is None else started.timestamp(),
            reply_url=reply_url,
            reply_ref=reply_ref,
            outcome=outcome_named(outcome),
            reason=reason,
            tracked=not website,
        )

    def end_job(self, job_id: str, outcome: str | None = None, reason: str | None = None) -> None:
        """
        End a job now.

        :param outcome: ``completed``, ``failed`` or ``moderated``; without it, what it would have come to
        :param reason: why it failed or was moderated
        :raises UnknownJobError: when no job with this id runs; one that was cancelled goes on
        """
        self.service.end(job_id, None if outcome is None else outcome_named(outcome), reason)

    def end_all_jobs(self) -> int:
        """End every job, and return how many there were."""
        return self.service.end_all()

    def fill(self, seconds: float | None = None) -> list[str]:
        """
        Start jobs until no slot is free, and return their ids.

        :param seconds: after which the first of them ends; the last ends at most 20 % later. Without it, they
            run until :meth:`end_job` or :meth:`end_all_jobs`
        """
        return self.service.fill(math.inf if seconds is None else number("seconds", seconds))

    def set_fate(self, prompt: str, fate: str | None) -> None:
        """
        Decide what becomes of jobs that are submitted from now on, by their prompt.

        :param prompt: those whose prompt contains this
        :param fate: ``completed``, ``failed`` or ``moderated`` (once it has run), ``refused`` (with 422, as
            a moderated prompt) or ``busy`` (with 429, although slots are free); ``None`` leaves it open again
        """
        self.service.fates.choose(prompt, fate)

    def clear_fates(self) -> None:
        """Decide for no prompt any more."""
        self.service.fates.clear()

    @property
    def jobs(self) -> list[Job]:
        """All jobs that are running, and the last 10 000 others, in the order in which they started."""
        return self.service.jobs()

    def submitted(self, **fields: object) -> list[Job]:
        """
        Return those of :attr:`jobs` that were submitted through the API.

        :param fields: only those in whose payload these fields have these values, compared as text
        """
        return [
            job
            for job in self.jobs
            if job.endpoint
            and all(str(job.payload.get(name)) == str(value) for name, value in fields.items())
        ]

    @property
    def submitted_count(self) -> int:
        """How many jobs were submitted through the API, kept or not."""
        return self.service.submitted_count

    def wait_for_submitted(self, n: int, timeout: float = 60) -> None:
        """
        Wait until ``n`` jobs have been submitted through the API since the start.

        :param timeout: seconds after which ``TimeoutError`` is raised
        """
        self.service.wait_for_submitted(n, timeout)
