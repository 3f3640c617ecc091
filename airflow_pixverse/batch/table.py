"""The table of a batch: a CSV or JSON Lines file in object storage, or a list of objects."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from airflow_pixverse.parameters import from_json, short_form
from airflow_pixverse.storage.errors import storage_errors
from airflow_pixverse.storage.paths import is_storage_uri, object_path, parse_storage_uri

Columns = dict[str, Any]

# Bytes of a table; a hundred thousand long prompts have fewer.
_MAX_BYTES = 256 * 1024 * 1024
# Python's own limit of a cell is 128 kB, for the manifest too.
csv.field_size_limit(_MAX_BYTES)
_JSON_LINES = (".jsonl", ".ndjson", ".jsonlines")


def parse_rows(value: Any, name: str = "rows") -> Any:
    """Return the address of a table, or a list of objects, also if it was rendered to a string."""
    if isinstance(value, str) and not is_storage_uri(value):
        value = from_json(value)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for number, row in enumerate(value, 1):
            if not isinstance(row, dict) or not all(isinstance(column, str) for column in row):
                raise ValueError(
                    f"{name} must hold objects such as {{'prompt': 'a cat'}}: number {number} is none"
                )
        return [dict(row) for row in value]
    try:
        return parse_storage_uri(value, name)
    except ValueError:
        raise ValueError(
            f"{name} must be the path of a CSV or JSON Lines file, such as s3://bucket/prompts.csv, or a "
            f"list of objects, not {short_form(value)}"
        ) from None


def read_rows(rows: str | list[Columns]) -> list[Columns]:
    """
    Return the rows of a table by the names of their columns.

    :param rows: what :func:`parse_rows` returned.
    :raises ValueError: the file is no such table; the message names the line.
    :raises StorageError: the file cannot be read.
    """
    if isinstance(rows, list):
        return rows
    path = object_path(rows)
    with storage_errors("cannot be read", rows):
        path.fs.invalidate_cache()
        size = path.fs.info(path.path)["size"]
        content = path.fs.cat_file(path.path) if size <= _MAX_BYTES else b""
    if size > _MAX_BYTES:
        raise ValueError(f"{rows} has {size} bytes; a table has {_MAX_BYTES} at most")
    try:
        text = content.decode("utf-8-sig")  # spreadsheets write a mark at its beginning
    except UnicodeDecodeError as error:
        raise ValueError(f"{rows} is not in UTF-8: {error.reason} at byte {error.start}") from None
    parse = _json_lines if rows.lower().endswith(_JSON_LINES) else _csv
    return parse(text, rows)


def _csv(text: str, uri: str) -> list[Columns]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or []]
        if not names or "" in names or len(set(names)) < len(names):
            raise ValueError(f"{uri}: the first line must name each column once, not {short_form(names)}")
        reader.fieldnames = names
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(
                    f"{uri}, line {reader.line_num}: it has not {len(names)} cells, as the first line has. "
                    "A cell with a comma must stand in quotes"
                )
            rows.append(row)
    except csv.Error as error:
        raise ValueError(f"{uri}, line {reader.reader.line_num}: {error}") from None
    return rows


def _json_lines(text: str, uri: str) -> list[Columns]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{uri}, line {number}: it is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"{uri}, line {number}: it is no object")
        rows.append(row)
    return rows
