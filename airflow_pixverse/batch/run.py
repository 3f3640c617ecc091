"""BatchRun: one try of a batch, from the table to the summary."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_pixverse.api.credits import read_credits
from airflow_pixverse.api.errors import PixverseError, PixverseFatalError
from airflow_pixverse.batch.budget import AccountFloor, CreditLimit
from airflow_pixverse.batch.following import Following
from airflow_pixverse.batch.looks import SharedLooks
from airflow_pixverse.batch.loop import BatchLoop
from airflow_pixverse.batch.manifest import Manifest, Remembered
from airflow_pixverse.batch.placing import look_before_remake, place
from airflow_pixverse.batch.progress import FAILURES_KEY, PROGRESS_KEY, SUMMARY_KEY, ProgressMeter
from airflow_pixverse.batch.row_work import RowWork, write_again
from airflow_pixverse.batch.rows import Row, RowPlan, RowStatus, refuse_clashes
from airflow_pixverse.batch.steps import Steps
from airflow_pixverse.batch.submitting import Submitting
from airflow_pixverse.batch.table import read_rows
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.journal.folder import FolderJournal
from airflow_pixverse.storage.atomic_file import check_writable
from airflow_pixverse.storage.errors import StorageError
from airflow_pixverse.storage.paths import object_path
from airflow_pixverse.submission.request import task_prefix

if TYPE_CHECKING:
    from airflow_pixverse.batch.room import Limits
    from airflow_pixverse.batch.table import Columns
    from airflow_pixverse.journal import SubmitRecord, TaskTry

FailOn = Literal["any", "all", "none"]

_PROGRESS_EVERY = 30.0
_MANIFEST_EVERY = 60.0
_MOST_FAILURES = 100
_GONE = "Its records are gone"
# The states of rows that have no video.
_BAD = (RowStatus.FAILED, RowStatus.MODERATED, RowStatus.REFUSED, RowStatus.UNKNOWN)

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BatchParameters:
    """
    The rendered and parsed parameters of a batch; see the operator.

    :param table: address of the table, or its rows.
    :param remake: states of attempts of other runs that are made again.
    :param manifest: name of the manifest, below the folder.
    """

    table: str | list[Columns]
    plan: RowPlan
    folder: str
    pixverse_conn_id: str
    limits: Limits
    max_bytes: int
    max_credits: int | None
    min_credits: int | None
    poke_interval: float
    completion_timeout: float
    remake: frozenset[str]
    fail_on: FailOn
    manifest: str


class BatchRun:
    """
    One try of a batch.

    :param parameters: what to make.
    :param task_try: the try that runs.
    :param push: pushes an XCom.
    """

    def __init__(
        self, parameters: BatchParameters, task_try: TaskTry, push: Callable[[str, Any], None]
    ) -> None:
        self._parameters = parameters
        self._try = task_try
        self._prefix = task_prefix(task_try)
        self._push = push
        self._airflow = threading.Lock()  # held while Airflow is asked for something
        self._hook = PixverseHook(parameters.pixverse_conn_id, max_retries=0)
        self._loop: BatchLoop | None = None
        self._is_killed = False
        self._reported_at = self._written_at = time.monotonic()
        self.rows: list[Row] = []
        self._stored_before: set[Row] = set()

    def kill(self) -> None:
        """Let :meth:`run` end soon, and raise: half a table is no success."""
        self._is_killed = True
        if self._loop:
            self._loop.kill()

    def run(self) -> dict[str, Any]:
        """
        Make all rows, and return the summary.

        :raises AirflowFailException: rows have failed, credits are at their limit, or the table or the
            connection cannot be used.
        :raises AirflowException: a retry goes on.
        """
        given = self._parameters
        folder = object_path(given.folder)
        check_writable(folder)
        self._manifest = Manifest(folder, given.manifest)
        self.rows = given.plan.rows(self._read_table())
        self._journal = FolderJournal(folder)
        remembered = self._manifest.remembered()  # first: what it names is in the folder by then
        records = self._journal.read_all()
        self._place_all(records, remembered)
        self._check_connection()
        self._stored_before = {row for row in self.rows if row.status is RowStatus.STORED}
        self._credit_limit = CreditLimit(given.max_credits, self._prefix)
        for record in chain.from_iterable(records.values()):
            self._credit_limit.add(record)
        self._meter = ProgressMeter(self.rows)
        loop, submitting = self._new_loop(folder)
        log.info("Read the table: %d rows, %d distinct", self._all, len(self.rows))
        self._report()
        try:
            self._loop = loop
            if not self._is_killed:
                loop.run()
        except PixverseFatalError as error:  # every look was refused for a minute
            submitting.stopped = submitting.stopped or str(error)
        finally:
            for row in self.rows:
                write_again(self._journal, row)
            self._write_down()
        summary = {
            "folder": given.folder,
            "manifest": self._manifest.path,
            "rows": self._all,
            "distinct": len(self.rows),
            "made": len(self.made),
            "counts": self._meter.now(self._credit_limit.spent).counts,
            "cost_credits": self._credit_limit.spent,
            "stopped": submitting.stopped,
        }
        self._raise_unless_done(summary, submitting)
        return summary

    @property
    def made(self) -> list[Row]:
        """The rows that this try has brought home."""
        return [row for row in self.rows if row.status is RowStatus.STORED and row not in self._stored_before]

    @property
    def _all(self) -> int:
        return sum(len(row.lines) for row in self.rows)

    def _read_table(self) -> list[Columns]:
        """Return the rows of the table, which are wrong for each retry if they are wrong."""
        table = self._parameters.table
        if isinstance(table, str) and object_path(table).path == self._manifest.object_path:
            raise AirflowFailException(
                f"rows must not be {table}: the manifest has that name. Rename the table"
            )
        try:
            return read_rows(table)
        except ValueError as error:
            raise AirflowFailException(str(error)) from error

    def _check_connection(self) -> None:
        """Raise an error of the connection. No retry follows, unless jobs are to be brought home."""
        try:
            self._hook.get_conn()
        except PixverseFatalError as error:
            is_paid_for = any(row.status is RowStatus.RUNNING for row in self.rows)
            raise (AirflowException if is_paid_for else AirflowFailException)(str(error)) from error

    def _place_all(self, records: dict[str, list[SubmitRecord]], remembered: dict[str, Remembered]) -> None:
        """Give each row the status that the folder tells. What is gone from it is not guessed."""
        for row in self.rows:
            if row.status is not RowStatus.WAITING:
                continue
            of_row = records.get(row.key, [])
            place(row, of_row, prefix=self._prefix, remake=self._parameters.remake)
            line = remembered.get(row.key)
            if row.status is RowStatus.WAITING and line and _is_gone(of_row, line):
                row.status, row.reason = RowStatus.UNKNOWN, line.text
                row.lost_job_ids, row.lost_sent_at = line.job_ids, line.sent_at
                if _GONE not in row.reason:
                    row.reason = (
                        f"{self._manifest.path} said: {row.reason}. {_GONE} from "
                        f"{self._parameters.folder}. If it may be paid for again, remove its line there"
                    )
        refuse_clashes(self.rows, self._stored_names(records))
        for row in self.rows:
            look_before_remake(row, records.get(row.key, []))

    def _stored_names(self, records: dict[str, list[SubmitRecord]]) -> dict[str, str]:
        """Return the names of the files that the folder has, each with the key of its row."""
        root = f"{object_path(self._parameters.folder).path.rstrip('/')}/"
        return {
            path.partition(root)[2]: key
            for key, of_row in records.items()
            for record in of_row
            if record.state == "stored"
            for path in record.paths
        }

    def _new_loop(self, folder: Any) -> tuple[BatchLoop, Submitting]:
        given = self._parameters
        looks = SharedLooks(lambda: self._hook.get_conn())  # noqa: PLW0108 - the hook changes
        steps = Steps(self._on_turn)
        work = RowWork(
            looks=looks,
            hook_of=lambda: self._hook,
            journal=self._journal,
            folder=folder,
            max_bytes=given.max_bytes,
            task_try=self._try,
            prefix=self._prefix,
            airflow=self._airflow,
        )
        following = Following(
            work,
            steps,
            poke_interval=given.poke_interval,
            completion_timeout=given.completion_timeout,
            reconnect=self._reconnect,
        )
        submitting = Submitting(
            work,
            steps,
            given.limits,
            prefix=self._prefix,
            remake=given.remake,
            credit_limit=self._credit_limit,
            floor=AccountFloor(
                self._hook.min_credits if given.min_credits is None else given.min_credits,
                lambda email: read_credits(self._hook.get_conn(), email),
            ),
            follow=following.add,
            reconnect=self._reconnect,
        )
        loop = BatchLoop(
            self.rows,
            looks=looks,
            steps=steps,
            submitting=submitting,
            following=following,
            poke_interval=given.poke_interval,
            reconnect=self._reconnect,
        )
        return loop, submitting

    def _reconnect(self) -> None:
        """Read the connection again, unless a thread is just asking Airflow for something."""
        if not self._airflow.acquire(blocking=False):
            return
        try:
            hook = PixverseHook(self._parameters.pixverse_conn_id, max_retries=0)
            hook.get_conn()
            self._hook = hook
        except PixverseError as error:
            log.warning("The connection could not be read again, the batch keeps the old one: %s", error)
        finally:
            self._airflow.release()

    def _on_turn(self) -> None:
        now = time.monotonic()
        if now - self._reported_at >= _PROGRESS_EVERY and self._airflow.acquire(blocking=False):
            try:
                self._report()
            finally:
                self._airflow.release()
        if now - self._written_at >= _MANIFEST_EVERY:
            self._written_at = now
            self._write_down()

    def _report(self) -> None:
        """Log the progress, and push it for the capacity page."""
        self._reported_at = time.monotonic()
        progress = self._meter.now(self._credit_limit.spent)
        log.info("%s", progress)
        try:
            self._push(PROGRESS_KEY, progress.to_xcom(self._parameters.pixverse_conn_id))
        except Exception as error:  # noqa: BLE001 - each XCom backend has its own; the rows go on
            log.warning("Could not push the XCom %r: %s", PROGRESS_KEY, error)

    def _write_down(self) -> None:
        """Write manifest and index. Neither is needed to go on, so an error is logged."""
        try:
            self._manifest.write(self.rows)
        except StorageError as error:
            log.warning("The manifest could not be written: %s", error)
        self._journal.write_index()

    def _raise_unless_done(self, summary: dict[str, Any], submitting: Submitting) -> None:
        """Raise the error that the task ends with, if it is no success."""
        bad = [row for row in self.rows if row.status in _BAD]
        left = [row for row in self.rows if row.status in {RowStatus.WAITING, RowStatus.RUNNING}]
        fail_on = self._parameters.fail_on
        is_bad = bool(bad) and (fail_on == "any" or (fail_on == "all" and not summary["counts"]["stored"]))
        if not (left or is_bad or self._is_killed):
            self._push(FAILURES_KEY, _failures(bad))
            return
        self._push(SUMMARY_KEY, summary)
        self._push(FAILURES_KEY, _failures([*bad, *left]))
        text = self._describe(bad, left, summary)
        if self._is_killed:
            raise AirflowException(f"the batch was ended from outside: {text}. A retry goes on")
        is_paid_for = any(row.status is RowStatus.RUNNING for row in left)
        if left and (is_paid_for or not submitting.is_final(left)):
            raise AirflowException(f"{text}. A retry goes on")
        raise AirflowFailException(text)

    def _describe(self, bad: list[Row], left: list[Row], summary: dict[str, Any]) -> str:
        parts = [f"{count} {status}" for status, count in summary["counts"].items() if count]
        stopped = f". No more rows were submitted: {summary['stopped']}" if summary["stopped"] else ""
        reasons = list(dict.fromkeys(row.reason for row in [*bad, *left] if row.reason))[:3]
        why = f". Among the reasons: {'; '.join(reasons)}" if reasons else ""
        return (
            f"of {len(self.rows)} distinct rows: {', '.join(parts)}{stopped}{why}. See {summary['manifest']}"
        )


def _is_gone(records: Sequence[SubmitRecord], line: Remembered) -> bool:
    """Return whether the record of the submit that the manifest names is gone from the folder."""
    if line.job_ids:
        return not {job_id for record in records for job_id in record.job_ids}.issuperset(line.job_ids)
    # Where no job is known, the time tells which submit it was.
    return line.sent_at not in {record.sent_at for record in records}


def _failures(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the first hundred rows without a result, with reasons."""
    return [
        {"row": row.number, "key": row.key, "status": row.status.value, "reason": row.reason}
        for row in list(rows)[:_MOST_FAILURES]
    ]
