"""Rows of a table: their keys, requests and states."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from string import Formatter
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.kinds import KINDS
from airflow_pixverse.batch.template import COLUMN, fill, text_of
from airflow_pixverse.parameters import from_json, texts_in
from airflow_pixverse.storage.destination import fit, parse_file_name
from airflow_pixverse.storage.inputs import is_path_key
from airflow_pixverse.submission.request import SubmitRequest, fingerprint

if TYPE_CHECKING:
    from airflow_pixverse.batch.table import Columns
    from airflow_pixverse.journal import SubmitRecord

DEFAULT_FILE_NAME = "{key}.{ext}"
# Hexadecimal digits: two rows of the same key are out of the question.
_KEY_DIGITS = 24
# Fields that are known only once there is a result.
_RESULT_FIELDS = {"type", "number", "ext"}
_UNSAFE_NAME = re.compile(r"[\x00-\x1f\\]|://|::|^/|(?:^|/)\s*\.\.?\s*(?:/|$)")

PayloadMaker = Callable[["Columns"], Any]


class RowStatus(StrEnum):
    """The state of a row, as the manifest and the counts have it."""

    WAITING = "waiting"
    """Nothing is paid for yet."""
    RUNNING = "running"
    """It is accepted, or just being submitted, and its result is not there yet."""
    STORED = "stored"
    FAILED = "failed"
    MODERATED = "moderated"
    REFUSED = "refused"
    """Nothing is paid for: its payload, an input or the service stands in the way."""
    UNKNOWN = "unknown"
    """It is unknown whether it is paid for."""


@dataclass(eq=False)
class Row:
    """
    A row of a table.

    :param lines: its cells by its places in the table, from 1; several where the same row stands there
        several times, perhaps with other cells that are not sent.
    :param key: what it goes by in the folder. Empty for a row of which no payload can be made.
    :param request: what is sent for it. None if no payload can be made.
    :param file_name: template of the names of its files.
    :param record: the submit that counts; None if there is none.
    """

    lines: dict[int, Columns]
    key: str = ""
    request: SubmitRequest | None = None
    file_name: str = ""
    status: RowStatus = RowStatus.WAITING
    reason: str = ""
    record: SubmitRecord | None = None
    references: set[str] = field(default_factory=set)
    """References of all its submits so far."""
    unrecorded: dict[str, SubmitRecord] = field(default_factory=dict)
    """Records, by reference, of submits that are not accepted: the folder could not be told so."""
    is_resubmission: bool = False
    """Whether an earlier submit may be paid for."""
    lost_job_ids: tuple[str, ...] = ()
    """Jobs that only the manifest names, as their records are gone."""
    lost_sent_at: str = ""
    """When they were submitted."""

    @property
    def number(self) -> int:
        """Its first place in the table."""
        return next(iter(self.lines))

    @property
    def has_own_name(self) -> bool:
        """Whether no other row's file can have the name of its file."""
        return self.key in self.file_name or "{number" in self.file_name


@dataclass(frozen=True, kw_only=True)
class RowPlan:
    """
    The plan that makes rows of a table.

    :param payload: function that returns the payload of a row.
    :param endpoint: the endpoint of all rows.
    :param emails: the accounts that may make them; None for all accounts.
    :param key: template of what names a row beside its payload; None for nothing.
    :param file_name: template of the names of files.
    :param input_folder: the folder of all inputs; None for any.
    :param literals: strings of the DAG's author, which need not be in ``input_folder``.
    """

    payload: PayloadMaker
    endpoint: str
    emails: Sequence[str] | None = None
    key: str | None = None
    file_name: str = DEFAULT_FILE_NAME
    input_folder: str | None = None
    literals: frozenset[str] = frozenset()

    def rows(self, table: Iterable[Columns]) -> list[Row]:
        """Return the rows of a table, in its order, each once. A row that cannot be used is refused."""
        rows: dict[str, Row] = {}
        for number, columns in enumerate(table, 1):
            row = self._row(number, columns)
            if known := rows.get(row.key or f"row {number}"):
                known.lines[number] = columns
                continue
            rows[row.key or f"row {number}"] = row
        return list(rows.values())

    def _row(self, number: int, columns: Columns) -> Row:
        row = Row({number: columns})
        try:
            payload = self.payload(columns)
            payload = from_json(payload) if isinstance(payload, str) else payload
            named = self._named(columns)
            sent = payload if self.input_folder is None else self._joined(payload, self.input_folder)
            request = SubmitRequest.parse(self.endpoint, sent, self.emails, None)
            self._check_inputs(request)
            key = fingerprint([self.endpoint.rstrip("/"), payload, named])[:_KEY_DIGITS]
            file_name = _file_name(self.file_name, key, columns)
        except (ValueError, TypeError, RecursionError) as error:  # such as keys of several types, deep JSON
            row.status, row.reason = RowStatus.REFUSED, str(error)
            return row
        row.key, row.request, row.file_name = key, request, file_name
        return row

    def _named(self, columns: Columns) -> Any:
        """Return what names a row beside its payload; None for nothing."""
        try:
            return None if self.key is None else fill(self.key, columns)
        except ValueError as error:
            raise ValueError(f"key: {error}") from error

    def _check_inputs(self, request: SubmitRequest) -> None:
        """Check once more that all inputs are in their folder, however the payload names them."""
        if self.input_folder is None:
            return
        inside = f"{self.input_folder.rstrip('/')}/"
        for file in request.inputs:
            name = file.uri.removeprefix(inside)
            is_inside = name != file.uri and not _UNSAFE_NAME.search(name)
            if not is_inside and file.uri not in self.literals:
                raise ValueError(f"{file.key} names {file.uri}, which is not in input_folder")

    def _joined(self, payload: Any, folder: str, key: str = "") -> Any:
        """Return a payload whose inputs are in a folder: the author of a table must not read elsewhere."""
        if isinstance(payload, dict):
            return {name: self._joined(value, folder, str(name)) for name, value in payload.items()}
        if isinstance(payload, (list, tuple)):
            return [self._joined(value, folder, key) for value in payload]
        if not isinstance(payload, str) or not is_path_key(key) or payload in self.literals:
            return payload
        name = payload.strip()
        if not name or _UNSAFE_NAME.search(name):
            raise ValueError(
                f"{key} must be the name of a file in input_folder, without .., not {payload!r:.100}"
            )
        return f"{folder.rstrip('/')}/{name}"


def refuse_clashes(rows: Sequence[Row], stored: Mapping[str, str]) -> None:
    """
    Refuse rows that wait, and whose file would have the name of another row's.

    :param rows: rows that are placed: one that the folder has already keeps its name, wherever it stands.
    :param stored: the names of all files of the folder, each with the key of its row, which may stand in
        another table.
    """
    named = [row for row in rows if row.request and not row.has_own_name]
    owners: dict[str, Row] = {}
    for row in sorted(named, key=lambda row: row.status is RowStatus.WAITING):
        owner = owners.setdefault(row.file_name, row)
        if owner is not row and row.status is RowStatus.WAITING:
            row.status = RowStatus.REFUSED
            row.reason = f"its file would have the name of that of row {owner.number}: {row.file_name}"
    extensions = {name.rpartition(".")[2] for name in stored}
    for row in rows:
        if row.status is RowStatus.WAITING and (names := sorted(_names(row, extensions) & stored.keys())):
            row.status = RowStatus.REFUSED
            row.reason = (
                f"its file would replace {names[0]} of row {stored[names[0]]}. Give it another file_name, or "
                "let the folder forget that row"
            )


def _names(row: Row, extensions: Iterable[str]) -> set[str]:
    """Return the names that the file of a row may have; none if no other row's can have them."""
    if row.has_own_name:
        return set()
    return {row.file_name.format(type=kind, ext=extension) for kind in KINDS for extension in extensions}


def literals_of(template: Any) -> frozenset[str]:
    """Return the strings of a template that no row can change."""
    return frozenset(text for text in texts_in(template) if "{" not in text)


def parse_batch_file_name(value: Any, name: str = "file_name") -> str:
    """Return the template of the names of files, which may hold columns beside the fields of a result."""
    try:
        columns = [column for _, column, _, _ in Formatter().parse(value) if column is not None]
        # A cell becomes a part of a name, so the rest tells whether it is one.
        _file_name(str(value), "key", dict.fromkeys(columns, "x"))
        is_plain = all(
            column in _RESULT_FIELDS or (COLUMN.fullmatch(column) and not spec and not conversion)
            for _, column, spec, conversion in Formatter().parse(value)
            if column is not None
        )
    except (TypeError, ValueError):
        is_plain = False
    if not is_plain:
        raise ValueError(
            f"{name} must be the name of a file, such as '{DEFAULT_FILE_NAME}', with {{key}}, {{type}}, "
            f"{{number}}, {{ext}} and columns as its fields, not {value!r:.200}"
        )
    return str(value)


def _file_name(template: str, key: str, columns: Columns) -> str:
    """Return the template of the names of a row's files, with the fields of a result left in it."""
    made = ""
    for literal, column, spec, _ in Formatter().parse(template):
        made += literal.replace("{", "{{").replace("}", "}}")
        if column is None:
            continue
        if column in _RESULT_FIELDS:
            made += f"{{{column}:{spec}}}" if spec else f"{{{column}}}"
        elif column == "key":
            made += key
        elif column not in columns:
            raise ValueError(f"file_name names the column {column!r}, which the table does not have")
        else:
            made += fit(text_of(columns[column]))
    try:
        return parse_file_name(made)
    except ValueError:
        raise ValueError(f"file_name comes out as {made!r:.200}: make it shorter, or use {{key}}") from None
