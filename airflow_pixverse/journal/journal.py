"""
SubmitJournal: the records of a task instance, and the rules that hold wherever Airflow keeps them.

=============  =====================  ======================================================================
Airflow        records are in         how records end
=============  =====================  ======================================================================
3.3 and later  task state store       dropped after success; else with the DAG run
3.0 to 3.2     an Airflow Variable    dropped after success; else they stay until a user deletes them
               for each submit
2.11           audit log              never: a log is history; left out once the task has succeeded
=============  =====================  ======================================================================
"""

from __future__ import annotations

import dataclasses
import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from airflow_pixverse.capabilities import HAS_TASK_STATE_STORE, WORKERS_HAVE_DATABASE
from airflow_pixverse.journal.errors import (
    JournalError,
    RecordNotWrittenError,
    RecordUnreadableError,
    TryNotRunningError,
    TryStateUnknownError,
    reason,
)
from airflow_pixverse.journal.records import State, SubmitRecord, TaskTry, last_of_each

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

log = logging.getLogger(__name__)


class Key(NamedTuple):
    """
    The place of one submit's record in the journal of its task instance.

    :param try_number: the try that wrote it.
    :param number: counts the submits of that try, from 1.
    """

    try_number: int
    number: int

    def __str__(self) -> str:
        return f"{self.try_number}_{self.number}"


class Journal(Protocol):
    """The part of a journal that a submit needs, of a task instance or of a row of a batch."""

    def read_all(self) -> list[SubmitRecord]:
        """Return all records, oldest first; raise a JournalError if that is not certain."""

    def write(self, record: SubmitRecord) -> None:
        """Write a record, and read it back; raise a JournalError if it is not certain to be there."""

    def check_still_running(self) -> None:
        """Raise a JournalError if this process may not submit any more."""


class SubmitJournal(ABC):
    """
    The records of one task instance, one text for each submit. For a worker, since every call blocks.

    Two tries that overlap, and two submits of one try, never overwrite each other's records. So a write that
    was given up and arrives late undoes nothing that is newer.

    :param context: the context of the task instance.
    """

    place: ClassVar[str]
    """The name of the place where the records are."""

    refusal: ClassVar[str] = ""
    """The likely reason why a record is refused."""

    begins_empty: ClassVar[bool] = False
    """Whether a try that begins finds no records of an earlier DAG run under its keys."""

    def __init__(self, context: Context) -> None:
        self._try = TaskTry.of(context)
        self._keys: dict[str, Key] | None = None  # of the submits that this try has written about
        self._written: set[Key] = set()
        self._read_back: dict[Key, object] = {}  # of the last write

    @abstractmethod
    def _read_all(self) -> Mapping[Key, object]:
        """Return all texts; raise any error."""

    @abstractmethod
    def _read(self, key: Key) -> object:
        """Return the text under a key, None if there is none; raise any error."""

    @abstractmethod
    def _write(self, key: Key, text: str) -> None:
        """Store the text of a submit; raise any error."""

    @abstractmethod
    def _drop(self) -> None:
        """Remove all texts; raise any error."""

    @abstractmethod
    def _name(self, key: Key) -> str:
        """Return the name that a record has in its place."""

    @abstractmethod
    def _state(self) -> str | None:
        """Return the state that Airflow gives the task instance; raise any error."""

    def _is_running(self) -> bool:
        return self._state() == "running"

    def begin_try(self) -> None:
        """
        Take note that this part begins a try, and that a later part reads before it submits.

        The keys of the try are read all the same where an earlier DAG run of the same name may have left
        records. It may be that Airflow begins a try twice, so a part that submits reads them in any case.
        """
        if self.begins_empty:
            self._keys = {}

    def read_all(self) -> list[SubmitRecord]:
        """
        Return the records of all tries of the task instance since its last success, oldest try first.

        Those from before a clear are among them.

        :raises RecordUnreadableError: one cannot be read or understood, or one of this try is gone.
        """
        try:
            texts = self._read_all()
        except Exception as error:
            raise RecordUnreadableError(
                f"The submit records of {self._try} cannot be read from {self.place} ({reason(error)}), "
                "so it is unknown whether a job was submitted. Nothing is submitted until they can be; "
                "the next retry reads them again"
            ) from error
        if self._written - texts.keys():
            raise RecordUnreadableError(
                f"A submit record that try {self._try.try_number} of {self._try} has written is gone from "
                f"{self.place}: Airflow has given this try up, or a user removed the record. "
                "Nothing more is submitted in this try"
            )
        return [record for record in self._parse(texts).values() if self._is_of_this_run(record)]

    def write(self, record: SubmitRecord) -> None:
        """
        Write the record of a submit, and read it back. Other submits keep theirs.

        One of an accepted job is not read back: nothing would be done about it. The record before it stays,
        and lets the next try look for the job.

        :raises RecordNotWrittenError: it was refused, or is missing afterwards.
        """
        text = record.to_json()
        self._read_back = {}
        try:
            key = self._key_of(record)
            self._write(key, text)
            is_there = record.state == "accepted" or self._is_there(key, text)
        except Exception as error:
            raise self._not_written(record, reason(error)) from error
        if not is_there:
            raise self._not_written(record, "reading it gives something else, although writing succeeded")
        self._written.add(key)

    def _is_there(self, key: Key, text: str) -> bool:
        if self._read(key) != text:
            return False
        self._read_back = {key: text}
        return True

    def write_end(self, job_ids: Collection[str], state: State) -> None:
        """
        Record that jobs have ended without a result, so that a clear does not take them up. Log errors.

        :param state: ``failed``, ``moderated`` or ``cancelled``.
        """
        generation, number = self._try.max_tries, self._try.try_number
        try:
            for record in last_of_each(self.read_all()):
                if record.state == "accepted" and set(record.job_ids) & set(job_ids):
                    self.write(
                        dataclasses.replace(record, state=state, max_tries=generation, try_number=number)
                    )
        except JournalError as error:
            log.warning("Could not record that %s is %s: %s", ", ".join(job_ids), state, error)

    def drop(self) -> None:
        """Remove all records, if Airflow knows of the task's success. Log errors."""
        try:
            if (state := self._state()) != "success":
                log.warning(
                    "Kept the submit records of %s in %s: Airflow takes it for %s, and may retry it",
                    self._try,
                    self.place,
                    state,
                )
                return
            self._drop()
        except Exception:
            log.warning(
                "Could not remove the submit records of %s from %s. They do no harm; a user may remove them",
                self._try,
                self.place,
                exc_info=True,
            )

    def check_still_running(self) -> None:
        """
        Check that Airflow has not given this try up, as far as it says.

        :raises TryNotRunningError: it has.
        :raises TryStateUnknownError: it could not be asked.
        """
        try:
            is_running = self._is_running()
        except Exception as error:
            raise TryStateUnknownError(
                f"Airflow does not say whether {self._try} still runs ({reason(error)}), "
                "so nothing is submitted in this try"
            ) from error
        if not is_running:
            raise TryNotRunningError(
                f"Airflow has given up try {self._try.try_number} of {self._try}, so it submits nothing: "
                "the next try decides"
            )

    def ends_for_good(self) -> bool:
        """
        Return whether no try follows that would pick up the job, should this one be killed now.

        None does if the user has ended the task, or no retry is left.
        """
        if not self._try.has_retry:
            return True
        try:
            return self._state() in {"failed", "success", "skipped", "removed"}
        except Exception as error:  # noqa: BLE001 - each version of Airflow has its own
            log.warning("Airflow does not say whether %s is retried (%s)", self._try, reason(error))
            return False

    def _key_of(self, record: SubmitRecord) -> Key:
        """Return the key of a submit: the one it has, or the next one of this try."""
        if self._keys is None:
            self._parse(self._read_all())
        keys = self._keys = self._keys or {}
        return keys.setdefault(record.reference, Key(self._try.try_number, len(keys) + 1))

    def _parse(self, texts: Mapping[Key, object]) -> dict[Key, SubmitRecord]:
        records = {key: self._parse_one(key, texts[key]) for key in sorted(texts)}
        self._keys = {
            record.reference: key for key, record in records.items() if key.try_number == self._try.try_number
        }
        return records

    def _parse_one(self, key: Key, text: object) -> SubmitRecord:
        try:
            return SubmitRecord.from_json(text)
        except RecordUnreadableError as error:
            raise RecordUnreadableError(
                f"The {self._name(key)} in {self.place}, a submit record of {self._try}, cannot be "
                f"understood: {error}. So it is unknown whether a job was submitted, and nothing is "
                "submitted now. Look for the job at PixVerse, then remove that record, and let the task run "
                "again"
            ) from error

    def _is_of_this_run(self, record: SubmitRecord) -> bool:
        return None in {record.dag_run, self._try.dag_run} or record.dag_run == self._try.dag_run

    def _not_written(self, record: SubmitRecord, why: str) -> JournalError:
        consequence = (
            "It is written before the job is submitted, so this try submits nothing; the next retry may"
            if record.state == "sending"
            else f"The record before it stays, so the next try looks for the reference {record.reference!r} "
            "first"
        )
        return RecordNotWrittenError(
            f"The submit record {record.state!r} of try {record.try_number} of {self._try} could not be "
            f"written to {self.place} ({why}). {self.refusal}{consequence}"
        )


class NoJournal:
    """A journal that remembers nothing, for a task that is not durable."""

    def begin_try(self) -> None:
        """Take no note."""

    def read_all(self) -> list[SubmitRecord]:
        """Return no records."""
        return []

    def write(self, record: SubmitRecord) -> None:
        """Forget the record."""

    def write_end(self, job_ids: Collection[str], state: State) -> None:
        """Forget it."""

    def check_still_running(self) -> None:
        """Take the try for the running one."""

    def ends_for_good(self) -> bool:
        """Return True: no later try knows of the job."""
        return True


def journal_of(context: Context) -> SubmitJournal:
    """
    Return the journal of the task instance that runs in a context, as the installed Airflow has it.

    :param context: the context of ``execute``, or of a callback on the same worker.
    """
    if HAS_TASK_STATE_STORE:
        from airflow_pixverse.journal.airflow_3 import TaskStateJournal

        return TaskStateJournal(context)
    if WORKERS_HAVE_DATABASE:
        from airflow_pixverse.journal.airflow_2 import AuditLogJournal

        return AuditLogJournal(context)
    from airflow_pixverse.journal.airflow_3 import VariableJournal

    return VariableJournal(context)


def drop_records(context: Context) -> None:
    """Drop the records of the task instance that has succeeded: a success callback."""
    journal_of(context).drop()


def add_drop_callback(operator: BaseOperator) -> None:
    """
    Let an operator drop its records after success, beside the success callbacks that it has.

    On Airflow 3 success callbacks run after the worker has told the API server of the success, also where
    the server did not take it (3.2 and later); so the callback asks for the state first. The records are
    dropped before the callbacks of others run, since Airflow kills a worker whose callbacks take long. On
    Airflow 2.11 nothing is added, as records are never dropped there.

    :param operator: whose ``__init__`` calls this; for a mapped task, each of its instances.
    """
    if WORKERS_HAVE_DATABASE:
        return
    given: Any = operator.on_success_callback
    others = [] if given is None else list(given) if isinstance(given, Sequence) else [given]
    # A new list, as mapped instances get the one that was given to "partial()".
    kept = [callback for callback in others if callback is not drop_records]
    operator.on_success_callback = [drop_records, *kept]
