"""The operators. Those that submit, make a table or download have modules of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from airflow_pixverse.api.errors import PixverseFatalError
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.operators.batch import PixverseBatchOperator
from airflow_pixverse.operators.download import PixverseDownloadOperator
from airflow_pixverse.operators.submit import PixverseSubmitOperator
from airflow_pixverse.parameters import (
    as_json_list,
    check_at_parse,
    check_job_id,
    parse_conn_id,
    parse_emails,
    parse_job_types,
    parse_older_than,
)

__all__ = [
    "PixverseBatchOperator",
    "PixverseCancelOperator",
    "PixverseDownloadOperator",
    "PixverseListExecutingOperator",
    "PixverseSubmitOperator",
]

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_pixverse.api.scheduler import ExecutingJob


class PixverseListExecutingOperator(BaseOperator):
    """
    List the jobs that PixVerse executes now, oldest first.

    Use it to act on each of them downstream: ``do_something.expand(job=list_executing.output)``. The list has
    only jobs that were started through the API, not jobs that a person starts on the website.

    XCom: a list of objects with ``id``, ``type``, ``email``, ``started``, ``elapsed``, ``replyUrl``,
    ``replyRef`` (null if unknown) and all further fields of the API. A job whose age is unknown
    comes last.

    Source: "Retrieve the list of videos and images currently being executed by the API" (``GET scheduler/``).

    :param pixverse_conn_id: id of the connection that holds the API token (templated).
    :param job_types: only these types, one string or a list: ``video``, ``image``, ``music``, ...
        (templated).
    :param emails: only jobs of these accounts, one string or a list; case does not matter (templated).
    :param older_than: only jobs that run for longer, a timedelta or seconds; without jobs whose age is
        unknown (templated).
    :raises ValueError: a parameter cannot be used; the message names it.
    """

    template_fields: Sequence[str] = ("pixverse_conn_id", "job_types", "emails", "older_than")
    ui_color = "#d9e7f5"

    def __init__(
        self,
        *,
        pixverse_conn_id: str = PixverseHook.default_conn_name,
        job_types: str | Iterable[str] | None = None,
        emails: str | Iterable[str] | None = None,
        older_than: timedelta | float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pixverse_conn_id = pixverse_conn_id
        self.job_types = as_json_list(job_types)
        self.emails = as_json_list(emails)
        self.older_than = older_than
        check_at_parse(self, parse_conn_id, pixverse_conn_id)
        check_at_parse(self, parse_job_types, self.job_types)
        check_at_parse(self, parse_emails, self.emails)
        check_at_parse(self, parse_older_than, older_than)

    @cached_property
    def hook(self) -> PixverseHook:
        """The hook of this task."""
        return PixverseHook(self.pixverse_conn_id)

    def execute(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002
        """
        Return the chosen jobs in their JSON form.

        :raises AirflowFailException: a permanent error; there is no retry.
        :raises PixverseTransientError: no usable answer this time; Airflow's ``retries`` apply.
        """
        try:
            job_types, emails = parse_job_types(self.job_types), parse_emails(self.emails)
            older_than = parse_older_than(self.older_than)
            parse_conn_id(self.pixverse_conn_id)
            jobs = self.hook.list_executing()
        except (PixverseFatalError, ValueError) as error:
            raise AirflowFailException(str(error)) from error
        self._warn_of("job_types", job_types, {job.type.casefold() for job in jobs})
        self._warn_of("emails", emails, {(job.email or "").casefold() for job in jobs})
        chosen = _oldest_first(_chosen(jobs, job_types, emails), older_than, datetime.now(UTC))
        self.log.info("%d of the %d jobs being executed are listed", len(chosen), len(jobs))
        return [job.to_xcom() for job in chosen]

    def _warn_of(self, name: str, wanted: Iterable[str] | None, found: set[str]) -> None:
        if unmatched := [item for item in wanted or () if item.casefold() not in found]:
            self.log.warning("No job being executed matches %s=%s", name, unmatched)


class PixverseCancelOperator(BaseOperator):
    """
    Cancel a job: the API stops tracking it, which frees its slot.

    PixVerse itself may continue the job, and charge for it; its result is then still available. A job that
    does not execute, such as one that has just ended, is no error: there is nothing to cancel.

    Use it to clean up jobs that hang: ``PixverseCancelOperator.partial(task_id="cancel")
    .expand(job_id=list_executing.output)``.

    XCom: whether the job was executing, True or False. A retry after a lost answer returns False if the try
    before has cancelled the job.

    ``DELETE scheduler/{id}``, sent once a try. Cancelling twice is harmless, so give the task ``retries``.

    :param pixverse_conn_id: id of the connection that holds the API token (templated).
    :param job_id: id of the job as the API gives it, such as an XCom of the task that submitted it; or an
        object with such an ``id``, such as an item of the XCom of ``PixverseListExecutingOperator``
        (templated).
    :raises ValueError: a parameter cannot be used; the message names it.
    """

    template_fields: Sequence[str] = ("pixverse_conn_id", "job_id")
    ui_color = "#f5ddd9"

    def __init__(
        self,
        *,
        job_id: str | dict[str, Any],
        pixverse_conn_id: str = PixverseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pixverse_conn_id = pixverse_conn_id
        self.job_id = job_id
        check_at_parse(self, parse_conn_id, pixverse_conn_id)
        check_at_parse(self, check_job_id, job_id)

    @cached_property
    def hook(self) -> PixverseHook:
        """The hook of this task."""
        return PixverseHook(self.pixverse_conn_id)

    def execute(self, context: Context) -> bool:  # noqa: ARG002
        """
        Cancel the job, and return whether it was executing.

        :raises AirflowFailException: a permanent error; there is no retry.
        :raises PixverseTransientError: no usable answer this time; Airflow's ``retries`` apply.
        """
        try:
            job_id = check_job_id(self.job_id)
            parse_conn_id(self.pixverse_conn_id)
            was_executing = self.hook.cancel(job_id)
        except (PixverseFatalError, ValueError) as error:
            raise AirflowFailException(str(error)) from error
        if was_executing:
            self.log.info("Job %s is cancelled: its slot is free, and PixVerse may continue it", job_id)
        else:
            self.log.info("Job %s is not executing: there is nothing to cancel (404)", job_id)
        return was_executing


def _chosen(
    jobs: Iterable[ExecutingJob], job_types: Iterable[str] | None, emails: Iterable[str] | None
) -> list[ExecutingJob]:
    from airflow_pixverse.api.scheduler import email_key, email_keys

    types = None if job_types is None else {job_type.casefold() for job_type in job_types}
    accounts = None if emails is None else email_keys(emails)
    return [
        job
        for job in jobs
        if (types is None or job.type.casefold() in types)
        and (accounts is None or email_key(job.email) in accounts)
    ]


def _oldest_first(
    jobs: Iterable[ExecutingJob], older_than: timedelta | None, now: datetime
) -> list[ExecutingJob]:
    unknown = timedelta.min
    ages = [(unknown if (age := job.age(now)) is None else age, job) for job in jobs]
    ages.sort(key=lambda pair: pair[0], reverse=True)
    return [job for age, job in ages if older_than is None or age > older_than]
