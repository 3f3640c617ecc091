"""Adoption: pick up the submit of an earlier try."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowException

from airflow_pixverse.api.errors import PixverseError, PixverseFatalError
from airflow_pixverse.reports.metrics import count
from airflow_pixverse.submission.errors import UnsettledError
from airflow_pixverse.submission.lost_jobs import find_submitted_jobs, suspicion_of

if TYPE_CHECKING:
    from airflow_pixverse.journal import SubmitHistory, SubmitRecord, TaskTry
    from airflow_pixverse.submission.lost_jobs import JobSearch
    from airflow_pixverse.submission.once import SubmitOnce
    from airflow_pixverse.submission.request import SubmitRequest
    from airflow_pixverse.submission.task import SubmitTask


class Adoption:
    """
    Picks up the submit of an earlier try.

    :param task: the operator.
    :param task_try: the try that runs.
    :param once: writes to the journal what is found.
    :param item: the fingerprint of what the instance is mapped to. None if it is not mapped, or unknown.
    """

    def __init__(self, task: SubmitTask, task_try: TaskTry, once: SubmitOnce, item: str | None) -> None:
        self._task = task
        self._try = task_try
        self._once = once
        self._item = item
        self._log = task.log

    def adopt(self, history: SubmitHistory, request: SubmitRequest | None) -> SubmitRecord | None:
        """
        Return the record of the job that an earlier try has submitted. None if this try is to submit.

        All that may have been accepted is looked for, before the newest submit says how to go on.

        :param history: all that this task instance has submitted.
        :param request: what this try would submit. None if it cannot be made.
        :raises PixverseFatalError: it is the job of another item, and the task was not cleared since.
        :raises UnsettledError: it is unknown whether it was accepted.
        :raises AirflowException: it cannot be looked for now.
        """
        not_found: list[tuple[SubmitRecord, JobSearch]] = []
        for record in history.to_pick_up:
            if not self._is_of_this_item(record, request, is_cleared=history.is_cleared(record)):
                continue
            if record.state != "sending":
                self._log.info("Waiting for %s, which try %d submitted", record.jobs, record.try_number)
                return record
            search = self._search(record)
            if search.found:
                return self._once.record_accepted(record, search.found)
            not_found.append((record, search))
        if not_found:
            newest, search = not_found[0]
            self._check_may_submit(newest, search, is_cleared=history.is_cleared(newest))
        return None

    def _search(self, record: SubmitRecord) -> JobSearch:
        try:
            return find_submitted_jobs(self._task.hook.get_conn(), record)
        except PixverseError as error:
            raise AirflowException(
                f"what try {record.try_number} of this task has sent to {record.endpoint} at "
                f"{record.sent_at} with replyRef {record.reference} cannot be looked for now: "
                f"{error}. A retry looks for it"
            ) from error

    def _check_may_submit(self, record: SubmitRecord, search: JobSearch, *, is_cleared: bool) -> None:
        """Raise an error, unless the user has said to submit again what was not found."""
        if is_cleared:
            self._log.warning(
                "Did not find %s, which try %d of this task may have submitted. The task was cleared since, "
                "so it submits",
                record.jobs,
                record.try_number,
            )
            return
        count("unknown", record.endpoint)
        ended = f"try {record.try_number} of this task ended before it knew"
        unsettled = UnsettledError(record, "; ".join(filter(None, [ended, suspicion_of(search.suspects)])))
        if self._task.on_unknown == "fail":
            raise unsettled
        self._log.warning("%s. Submitting again, as on_unknown says", unsettled)

    def _is_of_this_item(
        self, record: SubmitRecord, request: SubmitRequest | None, *, is_cleared: bool
    ) -> bool:
        """
        Return whether a submit is one of what this task instance is about.

        A payload may differ between tries (a presigned URL, a random number), and a list may have another
        order: only where neither payload nor item is the same, the job is that of another item.
        """
        if request is None and self._item is None:
            return True
        is_same = request is not None and record.fingerprint == request.fingerprint
        if is_same or (self._item is not None and record.item == self._item):
            return True
        text = f"try {record.try_number} of this task has submitted {record.jobs} with another payload"
        if self._try.map_index < 0:
            if request is not None:
                self._log.warning(
                    "%s: that one is waited for, and is not paid for again. on_clear='submit' and a clear "
                    "submit the new payload",
                    text,
                )
            return True
        text += (
            f", for another item of the list that it is mapped over. PixverseJobSensor(job_id=...) waits for "
            f"{record.jobs}"
        )
        if is_cleared:
            self._log.warning("%s. This task submits the item that it is mapped to now", text)
            return False
        raise PixverseFatalError(
            f"{text}. Clear this task to submit, and pay for, the item that it is mapped to now"
        )
