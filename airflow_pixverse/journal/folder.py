"""
FolderJournal: the records of a batch, in the folder of its results, for every task that comes to it.

Each record is an object of its own, ``.pixverse/<2 hex>/<row>.<attempt>.<state>``, whose name tells row and
state. No process overwrites or deletes one, so there is no owner, no lock and no clock: a process that learns
something adds an object, and of one attempt the highest state counts.

A row's claim of the name of its file is ``.pixverse/<2 hex>/<hash of the name>.<row>.name``, and stays too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from airflow_pixverse.api.reply_ref import random_part_of
from airflow_pixverse.journal.errors import RecordNotWrittenError, RecordUnreadableError, reason
from airflow_pixverse.journal.records import RANKS, State, SubmitRecord
from airflow_pixverse.storage.atomic_file import AtomicFile
from airflow_pixverse.storage.errors import StorageError, storage_errors

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

PLACE = ".pixverse"
"""The folder of the records, below the folder of the results."""

# Attempts in these states change no more, so what is read of them once is known for good.
_SETTLED: frozenset[State] = frozenset({"not accepted", "failed", "moderated", "stored", "forgotten"})
_INDEX = "index.json"
# The end of a claim's name, and the hexadecimal digits of the hash in it.
_CLAIM = ".name"
_CLAIM_DIGITS = 24
# Records that the index may lack before it is written again.
_MOST_AHEAD = 100

log = logging.getLogger(__name__)


class RecordName(NamedTuple):
    """
    The name of a record.

    :param row: key of the row.
    :param attempt: the random part of the submit's ``replyRef``.
    :param state: the state that the record tells.
    """

    row: str
    attempt: str
    state: State

    @classmethod
    def of(cls, row: str, record: SubmitRecord) -> Self:
        """Return the name of a row's record."""
        return cls(row, random_part_of(record.reference), record.state)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the name that a text is; None if it is none."""
        row, _, rest = text.partition(".")
        attempt, _, state = rest.partition(".")
        state = state.replace("-", " ")
        return cls(row, attempt, cast("State", state)) if row and attempt and state in RANKS else None

    def __str__(self) -> str:
        return f"{self.row}.{self.attempt}.{self.state.replace(' ', '-')}"


class FolderJournal:
    """
    The records of all rows that a folder has results of. Every call blocks.

    :param folder: the folder of the results.
    """

    def __init__(self, folder: ObjectStoragePath) -> None:
        self._fs = folder.fs
        self._place = folder / PLACE
        self._root = self._place.path.rstrip("/")
        self._listing = threading.Lock()
        self._index: dict[str, str] = {}
        self._ahead = 0

    def row(self, row: str) -> RowJournal:
        """Return the journal of one row."""
        return RowJournal(self, row)

    def read_all(self) -> dict[str, list[SubmitRecord]]:
        """
        Return the records of all rows by their keys, one for each attempt.

        :raises StorageError: the folder cannot be read.
        :raises RecordUnreadableError: a record cannot be understood.
        """
        self._read_index()
        names = _names(self._listed(lambda: self._fs.find(self._root)))
        # A record that the index knows was there, so a name that is gone was removed by other hands.
        lost = self._index.keys() - {str(name) for name in names}
        if lost:
            log.warning(
                "%d records are gone from %s, such as %s: the index still has them, and they count",
                *(len(lost), self._place, min(lost)),
            )
        return self._read(_highest([*names, *_names(lost)]))

    def read_row(self, row: str) -> list[SubmitRecord]:
        """
        Return the records of one row as they are now, one for each attempt.

        :raises StorageError: the folder cannot be read.
        :raises RecordUnreadableError: a record cannot be understood.
        """
        names = [name for name in _names(self._list(row[:2])) if name.row == row]
        return self._read(_highest(names)).get(row, [])

    def write(self, row: str, record: SubmitRecord) -> None:
        """
        Add a record, and read it back. One that another process has added under its name stays.

        :raises RecordNotWrittenError: the store does not have it afterwards.
        """
        name, text = RecordName.of(row, record), record.to_json()
        try:
            known = self._known(name)
            if known is None:
                self._write_object(name.row[:2], str(name), text.encode())
                known = self._fs.cat_file(self._path(name)).decode()
            is_there = known == text or SubmitRecord.from_json(known).state == record.state != "sending"
        except Exception as error:
            raise self._not_written(name, reason(error)) from error
        if not is_there:
            raise self._not_written(name, "reading it gives something else")
        if record.state in _SETTLED:
            self._index[str(name)] = known
            self._ahead += 1

    def claim_file_name(self, file_name: str, row: str) -> bool:
        """
        Claim the name of a file for a row, and return whether no other row has claimed it.

        Each process writes its claim before it lists them, so of two rows at most one gets a name. A claim
        stays. Case does not matter, as not in every store.

        :raises StorageError: the folder cannot be written to or read.
        """
        name = hashlib.sha256(file_name.casefold().encode()).hexdigest()[:_CLAIM_DIGITS]
        claim = f"{name}.{row}{_CLAIM}"
        with storage_errors("cannot be written to", str(self._place)):
            self._write_object(name[:2], claim, file_name.encode())
        of_name = {text for text in self._list(name[:2]) if text.startswith(f"{name}.")}
        if claim not in of_name:
            raise StorageError(f"The claim {claim} was written to {self._place}, and is not listed there")
        return of_name == {claim}

    def write_index(self) -> None:
        """
        Write the index, if it lacks a hundred records. It only saves reads, so an error is logged.

        Two processes may write it at once: each entry is one of an object that never changes.
        """
        if self._ahead < _MOST_AHEAD:
            return
        try:
            with AtomicFile(self._place) as file:
                file.write(json.dumps(dict(self._index)).encode())
                file.move_to(_INDEX)
            self._ahead = 0
        except StorageError as error:
            log.warning("The index of %s could not be written: %s", self._place, error)

    def _read(self, names: Iterable[RecordName]) -> dict[str, list[SubmitRecord]]:
        """Return the records of these names, by row."""
        names = list(names)
        unread = [name for name in names if str(name) not in self._index]
        texts = {name: self._index[str(name)] for name in names if str(name) in self._index}
        with storage_errors("cannot be read", str(self._place)):
            bodies = self._fs.cat([self._path(name) for name in unread], on_error="return") if unread else {}
            by_name = {_last_part(path): body for path, body in bodies.items()}
            for name in unread:
                body = by_name.get(str(name), b"")
                if isinstance(body, Exception):
                    raise body
                texts[name] = body.decode(errors="replace")
        rows: defaultdict[str, list[SubmitRecord]] = defaultdict(list)
        for name in names:
            try:
                record = SubmitRecord.from_json(texts[name])
            except RecordUnreadableError as error:
                raise RecordUnreadableError(
                    f"{self._place}/{name.row[:2]}/{name} cannot be understood: {error}. So it is unknown "
                    "whether its row is paid for, and nothing is submitted. Look at that object, and remove "
                    "it once it is known what became of its job"
                ) from error
            rows[name.row].append(record)
            if name.state in _SETTLED and str(name) not in self._index:
                self._index[str(name)] = texts[name]
                self._ahead += 1
        return rows

    def _list(self, folder: str) -> list[str]:
        """Return the names of the objects in one of the folders, as they are now."""
        return self._listed(lambda: self._fs.ls(f"{self._root}/{folder}", detail=False))

    def _listed(self, paths: Callable[[], Iterable[str]]) -> list[str]:
        """Return the last parts of the paths that a call lists; none if there is no such folder."""
        # A cached listing may lack objects of other processes, also one that another thread has filled.
        with self._listing, storage_errors("cannot be read", str(self._place)):
            self._fs.invalidate_cache()
            try:
                return [_last_part(path) for path in paths()]
            except FileNotFoundError:
                return []

    def _read_index(self) -> None:
        path = f"{self._root}/{_INDEX}"
        try:
            index: Any = json.loads(self._fs.cat_file(path))
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 - it only saves reads; each store has errors of its own
            log.warning("The index %s cannot be read (%s), so each record is", path, reason(error))
            return
        if isinstance(index, Mapping):
            self._index |= {name: text for name, text in index.items() if isinstance(text, str)}

    def _write_object(self, folder: str, name: str, content: bytes) -> None:
        """Write an object that readers see whole or not at all."""
        if "file" not in self._fs.protocol:  # an object store does so by itself
            self._fs.pipe_file(f"{self._root}/{folder}/{name}", content)
            return
        with AtomicFile(self._place / folder) as file:
            file.write(content)
            file.move_to(name)

    def _known(self, name: RecordName) -> str | None:
        """Return the text of a record that another process may have added; None if there is none."""
        if name.state == "sending":  # only the process that sends it writes it, perhaps again
            return None
        try:
            return bytes(self._fs.cat_file(self._path(name))).decode()
        except FileNotFoundError:
            return None

    def _path(self, name: RecordName) -> str:
        return f"{self._root}/{name.row[:2]}/{name}"

    def _not_written(self, name: RecordName, why: str) -> RecordNotWrittenError:
        return RecordNotWrittenError(
            f"The record {name} could not be written to {self._place} ({why}), so nothing is submitted for "
            "its row now"
            if name.state == "sending"
            else f"The record {name} could not be written to {self._place} ({why})"
        )


class RowJournal:
    """
    The records of one row.

    :param journal: the journal of the folder.
    :param row: key of the row.
    """

    def __init__(self, journal: FolderJournal, row: str) -> None:
        self._journal = journal
        self._row = row
        self._written: set[str] = set()

    def read_all(self) -> list[SubmitRecord]:
        """
        Return the records of the row as they are now, one for each attempt.

        :raises RecordUnreadableError: they cannot be read, or one that was written here is gone.
        """
        try:
            records = self._journal.read_row(self._row)
        except StorageError as error:
            raise RecordUnreadableError(str(error)) from error
        if gone := self._written - {record.reference for record in records}:
            raise RecordUnreadableError(
                f"The records of {', '.join(sorted(gone))} are gone from the folder: another process has "
                "removed them. Nothing is submitted for their row now"
            )
        return records

    def write(self, record: SubmitRecord) -> None:
        """
        Add a record.

        :raises RecordNotWrittenError: the store does not have it afterwards.
        """
        self._journal.write(self._row, record)
        self._written.add(record.reference)

    def check_still_running(self) -> None:
        """Do nothing: whichever process comes to the folder may go on with a row."""


def _highest(names: Iterable[RecordName]) -> Iterable[RecordName]:
    """Return the name with the highest state of each attempt."""
    highest: dict[tuple[str, str], RecordName] = {}
    for name in names:
        known = highest.get((name.row, name.attempt))
        if known is None or RANKS[name.state] > RANKS[known.state]:
            highest[name.row, name.attempt] = name
    return highest.values()


def _names(texts: Iterable[str]) -> list[RecordName]:
    return [name for name in map(RecordName.parse, texts) if name]


def _last_part(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
