"""The manifest: a CSV file that says of each row of a table what became of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from airflow_pixverse.api.http.url_redaction import without_queries
from airflow_pixverse.batch.rows import RowStatus
from airflow_pixverse.batch.template import text_of
from airflow_pixverse.storage.atomic_file import AtomicFile
from airflow_pixverse.storage.errors import storage_errors

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_pixverse.batch.rows import Row

_OWN = ("key", "status", "path", "job_ids", "cost_credits", "reason", "when")
# States of rows that the folder must remember something of.
_REMEMBERED = {RowStatus.RUNNING, RowStatus.STORED, RowStatus.FAILED, RowStatus.MODERATED, RowStatus.UNKNOWN}


class Remembered(NamedTuple):
    """
    The line of a row that the folder must remember.

    :param text: what it says of the row.
    :param job_ids: the jobs that it names.
    :param sent_at: when the submit was sent; empty if it does not say.
    """

    text: str
    job_ids: tuple[str, ...]
    sent_at: str


class Manifest:
    """
    The manifest of one task, below the folder of its results.

    Its columns are ``key``, those of the table, and ``status``, ``path``, ``job_ids``, ``cost_credits``,
    ``reason`` and ``when`` (of the submit). A column of the table with such a name begins with ``row_``.

    :param folder: the folder of the results.
    :param name: name of the file.
    """

    def __init__(self, folder: ObjectStoragePath, name: str) -> None:
        self._folder = folder
        self._name = name

    @property
    def path(self) -> str:
        """Address of the file."""
        return str(self._folder / self._name)

    @property
    def object_path(self) -> str:
        """Its path in the store, whatever the connection."""
        return str((self._folder / self._name).path)

    def write(self, rows: Iterable[Row]) -> None:
        """
        Write the whole file, in the order of the table.

        :raises StorageError: it cannot be written.
        """
        lines = sorted(
            ((number, cells, row) for row in rows for number, cells in row.lines.items()), key=itemgetter(0)
        )
        columns = list(dict.fromkeys(column for _, cells, _ in lines for column in cells))
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow([_OWN[0], *(f"row_{name}" if name in _OWN else name for name in columns), *_OWN[1:]])
        for _, cells, row in lines:
            writer.writerow([row.key, *(text_of(cells.get(name)) for name in columns), *_facts(row)])
        with AtomicFile(self._folder) as file:
            file.write(text.getvalue().encode(errors="backslashreplace"))
            file.move_to(self._name)

    def remembered(self) -> dict[str, Remembered]:
        """
        Return the rows of which the manifest says that the folder remembers them.

        :raises StorageError: it is there and cannot be read.
        """
        with storage_errors("cannot be read", self.path):
            self._folder.fs.invalidate_cache()
            try:
                text = self._folder.fs.cat_file((self._folder / self._name).path).decode("utf-8-sig")
            except FileNotFoundError:
                return {}
            lines = list(csv.DictReader(io.StringIO(text, newline="")))
        return {
            line["key"]: Remembered(
                _told(line), tuple((line.get("job_ids") or "").split()), line.get("when") or ""
            )
            for line in lines
            if line.get("key") and _is_remembered(line)
        }


def _is_remembered(line: dict[str, str]) -> bool:
    """Return whether a line is of a row that has records: one that was just being sent may have none yet."""
    status = line.get("status")
    return status in _REMEMBERED and (status != RowStatus.RUNNING or bool(line.get("job_ids")))


def _told(line: dict[str, str]) -> str:
    """Return what a line says of a row, as text."""
    if line["status"] == RowStatus.UNKNOWN and line.get("reason"):
        return line["reason"]
    return ", ".join(f"{name} {line[name]}" for name in _OWN[1:] if line.get(name))


def _facts(row: Row) -> Sequence[object]:
    record = row.record
    cost = record.cost_credits if record else None
    return (
        row.status.value,
        " ".join(record.paths) if record else "",
        " ".join(record.job_ids if record else row.lost_job_ids),
        "" if cost is None else cost,
        without_queries(row.reason),
        record.sent_at if record else row.lost_sent_at,
    )
