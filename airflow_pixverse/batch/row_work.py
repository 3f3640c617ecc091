"""RowWork: what is done for one row at a time, in threads of the loop. Nothing here knows of other rows."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from airflow_pixverse.api import reply_ref
from airflow_pixverse.api.errors import (
    PixverseAccessError,
    PixverseError,
    PixverseFatalError,
    PixverseRateLimitError,
    is_of_account,
)
from airflow_pixverse.batch.steps import Later
from airflow_pixverse.journal import JournalError
from airflow_pixverse.reports.metrics import count_finished
from airflow_pixverse.storage.destination import Destination
from airflow_pixverse.storage.errors import StorageError
from airflow_pixverse.storage.result_files import store_results
from airflow_pixverse.storage.upload import Source, source_of, upload
from airflow_pixverse.submission.errors import AnswerLostError, UnsettledError
from airflow_pixverse.submission.lost_jobs import find_submitted_jobs
from airflow_pixverse.submission.once import SubmitOnce

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.api.uploads import Upload
    from airflow_pixverse.batch.looks import SharedLooks
    from airflow_pixverse.batch.rows import Row
    from airflow_pixverse.hooks.pixverse import PixverseHook
    from airflow_pixverse.journal import SubmitRecord, TaskTry
    from airflow_pixverse.journal.folder import FolderJournal
    from airflow_pixverse.journal.records import State
    from airflow_pixverse.storage.inputs import Input

log = logging.getLogger(__name__)


class InputError(PixverseError):
    """
    An input of a row cannot be uploaded, so nothing is submitted for it.

    :param is_final: whether it would be the same again: there is no such file, or the service refuses it.
    """

    def __init__(self, message: str, *, is_final: bool) -> None:
        super().__init__(message)
        self.is_final = is_final


class RowWork:
    """
    The blocking steps of a row: submit, look for, ask, store.

    :param looks: the client of all threads.
    :param hook_of: returns the hook, whose connection is read already.
    :param journal: the journal of the folder.
    :param folder: the folder of the results.
    :param max_bytes: largest size of a file.
    :param task_try: the try that runs.
    :param prefix: the beginning of each ``replyRef``.
    :param airflow: held while Airflow is asked for something, as not every version allows that twice at once.
    """

    def __init__(
        self,
        *,
        looks: SharedLooks,
        hook_of: Callable[[], PixverseHook],
        journal: FolderJournal,
        folder: ObjectStoragePath,
        max_bytes: int,
        task_try: TaskTry,
        prefix: str,
        airflow: threading.Lock,
    ) -> None:
        self._looks = looks
        self._hook_of = hook_of
        self._journal = journal
        self._folder = folder
        self._max_bytes = max_bytes
        self._try = task_try
        self._prefix = prefix
        self._airflow = airflow
        self._uploads: dict[tuple[str, str], Upload] = {}
        self._uploading: dict[tuple[str, str], threading.Lock] = {}

    def submit(self, row: Row, email: str | None) -> SubmitRecord | Later:
        """
        Submit a row, once, and return its record, which is accepted, or the look for its lost job.

        :raises InputError: an input cannot be uploaded.
        :raises UnsettledError: it is unknown whether it is accepted, which is recorded.
        :raises PixverseError: it is not accepted; see :meth:`SubmitOnce.submit`.
        """
        assert row.request is not None  # noqa: S101 - rows without one are refused
        request = row.request.with_uploads(self._uploaded)
        self._looks.sleep(0)  # nothing is begun once the loop ends
        write_again(self._journal, row)
        once = self._once(row)
        try:
            return once.submit(
                request,
                reply_ref.join(self._prefix, reply_ref.new_random_part()),
                email=email,
                known_references=row.references,
                is_resubmission=row.is_resubmission,
            )
        except AnswerLostError as error:
            return Later(partial(self._find_own, row, once, error.look), "lost")
        finally:
            _keep_unrecorded(row, once)

    def _find_own(self, row: Row, once: SubmitOnce, look: Callable[[], SubmitRecord]) -> SubmitRecord:
        """Look for the job of a submit whose answer was lost; errors are those of a submit."""
        try:
            return look()
        except UnsettledError as error:
            raise self._unsettled(row, error.record, error.problem) from error
        finally:
            _keep_unrecorded(row, once)

    def find(self, row: Row, record: SubmitRecord) -> list[SubmitRecord]:
        """
        Look for the job of a submit that another process has sent, and return the records of the row then.

        The submit is accepted if its job is found, and otherwise unknown, unless that process knows more: to
        find none, or to see no list, proves nothing.

        :raises PixverseError: the folder cannot be read now.
        """
        trouble = "the process that sent it ended before it knew"
        try:
            found = find_submitted_jobs(self._looks, record, sleep=self._looks.sleep).found
        except PixverseError as error:
            log.warning("Row %s: its job cannot be looked for: %s", row.key, error)
            found, trouble = [], f"{trouble}, and it cannot be looked for: {error}"
        if found:
            accepted = self._once(row).record_accepted(record, found)
            try:
                records = self.read(row)
            except PixverseError as error:  # its job is followed all the same
                log.warning("Row %s: its other records cannot be read now: %s", row.key, error)
                records = []
            return [*(other for other in records if other.reference != record.reference), accepted]
        unknown = record
        if record.state != "unknown":
            unknown = self._unsettled(row, record, trouble).record
        # The folder may not have taken it, and then says "sending" for ever.
        return [unknown if one == record else one for one in self.read(row)]

    def read(self, row: Row, *, after: float = 0.0) -> list[SubmitRecord]:
        """Return the records that the folder has of a row, after so many seconds."""
        self._looks.sleep(after)
        return self._journal.read_row(row.key)

    def result(self, job_id: str) -> JobResult:
        """Return the result of a job."""
        return self._looks.get_result(job_id)

    def store(self, row: Row, results: Sequence[JobResult], missing: str = "") -> SubmitRecord:
        """
        Store the files of a row, and return its record, which is stored.

        :param missing: why some of its jobs have no file; empty if all have one.
        :raises PixverseError: a file does not arrive, or cannot be written.
        """
        assert row.record is not None  # noqa: S101 - its job is accepted
        destination = Destination(str(self._folder), row.file_name, self._max_bytes)
        # A name that is not its own may be that of a row of another table, which is paid for.
        claim = None if row.has_own_name else partial(self._journal.claim_file_name, row=row.key)
        values = store_results(results, destination, self._hook_of(), self._folder, claim=claim)
        paths = tuple(value["path"] for value in values if "path" in value)
        stored = dataclasses.replace(row.record, state="stored", paths=paths, reason=missing)
        self.write(row, stored)
        count_finished(results, row.record.endpoint)
        return stored

    def end(self, row: Row, state: State, results: Sequence[JobResult], why: str) -> SubmitRecord:
        """Record that the jobs of a row have ended without a file, and return its record."""
        assert row.record is not None  # noqa: S101 - its job is accepted
        ended = dataclasses.replace(row.record, state=state, reason=why)
        self.write(row, ended)
        count_finished(results, row.record.endpoint)
        return ended

    def write(self, row: Row, record: SubmitRecord) -> None:
        """Add a record of a row."""
        self._journal.write(row.key, record)

    def _unsettled(self, row: Row, record: SubmitRecord, trouble: str) -> UnsettledError:
        """Record that a submit's outcome is unknown, and return the error with that record."""
        advice = (
            "If it is there, the next run stores its result. If it is not, let the folder forget the row: "
            f"python -m airflow_pixverse.batch forget {self._folder} {row.key}. The next run then submits, "
            "and pays, again"
        )
        error = UnsettledError(record, trouble, advice=advice)
        error.record = dataclasses.replace(record, state="unknown", reason=str(error))
        try:
            self.write(row, error.record)
        except JournalError as failure:  # the record "sending" stays, which says as much
            log.warning("Could not record that row %s is unknown: %s", row.key, failure)
        return error

    def _once(self, row: Row) -> SubmitOnce:
        journal = self._journal.row(row.key)
        return SubmitOnce(lambda: self._looks, journal, self._try, looks_later=True, sleep=self._looks.sleep)

    def _uploaded(self, file: Input) -> str:
        """
        Return the value to submit in place of an input, which is uploaded once.

        :raises InputError: it cannot be uploaded.
        :raises PixverseError: the service takes no uploads, of whatever file.
        """
        with self._airflow:
            try:
                source = source_of(file.uri)
            except StorageError as error:
                # Without a cause it is one of this package: it is no file, or of no known type.
                is_final = error.__cause__ is None or isinstance(error.__cause__, FileNotFoundError)
                raise InputError(str(error), is_final=is_final) from error
        key = (str(source.path), source.version)
        with self._uploading.setdefault(key, threading.Lock()):
            self._looks.sleep(0)  # nothing is begun once the loop ends
            if key not in self._uploads:
                self._uploads[key] = self._upload(source)
            return file.value_of(self._uploads[key])

    def _upload(self, source: Source) -> Upload:
        try:
            done = upload(self._hook_of().get_conn(), source)
        except PixverseError as error:
            if is_of_account(error):  # which no upload names
                raise InputError(str(error), is_final=False) from error
            if isinstance(error, (PixverseAccessError, PixverseRateLimitError)):
                raise
            raise InputError(str(error), is_final=isinstance(error, PixverseFatalError)) from error
        log.info("Uploaded %s (%d bytes) as %s", source.path, source.size, done.path)
        return done


def write_again(journal: FolderJournal, row: Row) -> None:
    """Record the submits of a row that are not accepted, as far as the folder could not be told so."""
    for record in list(row.unrecorded.values()):
        try:
            journal.write(row.key, record)
        except JournalError as error:
            log.warning("Row %s: could not record that a submit is not accepted: %s", row.key, error)
        else:
            del row.unrecorded[record.reference]


def _keep_unrecorded(row: Row, once: SubmitOnce) -> None:
    row.references |= once.unrecorded.keys()
    row.unrecorded |= once.unrecorded
