"""
Templates of payloads: ``{column}``, and ``{column:int}`` for a value of another type.

A template is filled in once, so a cell is never a template itself. Braces around anything but a plain name
stand for themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from airflow_pixverse.parameters import texts_in

# The plain name of a column, in any language; the marks of some are no \w.
COLUMN = re.compile(r"[^\W\d](?:\w|[^\x00-\x7f\s])*")
_FIELD = re.compile(rf"\{{(?P<column>{COLUMN.pattern})(?::(?P<type>[a-z]+))?\}}")
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


class _Dropped:
    """The value of a key whose cell is empty."""


_DROPPED = _Dropped()


def columns_of(template: Any) -> Iterator[str]:
    """
    Return the names of the columns that a template uses.

    :raises ValueError: a field has an unknown type, or one within a text.
    """
    for text in texts_in(template):
        for field in _FIELD.finditer(text):
            kind = field["type"]
            if kind is not None and kind not in _PARSERS:
                raise ValueError(f"{field[0]}: the type must be one of {', '.join(_PARSERS)}")
            if kind is not None and field[0] != text:
                raise ValueError(f"{field[0]} must stand alone, as it has a type, not within {text!r:.100}")
            yield field["column"]


def fill(template: Any, columns: Mapping[str, Any]) -> Any:
    """
    Return a template with the values of a row. A value that is one empty cell drops its key.

    :raises ValueError: a column is missing, or a cell is not of the field's type; the message names it.
    """
    filled = _fill(template, columns)
    return "" if filled is _DROPPED else filled


def _fill(template: Any, columns: Mapping[str, Any]) -> Any:
    if isinstance(template, str):
        return _fill_text(template, columns)
    if isinstance(template, Mapping):
        values = {key: _fill(value, columns) for key, value in template.items()}
        return {key: value for key, value in values.items() if value is not _DROPPED}
    if isinstance(template, (list, tuple)):
        return [one for one in (_fill(value, columns) for value in template) if one is not _DROPPED]
    return template


def _fill_text(template: str, columns: Mapping[str, Any]) -> Any:
    field = _FIELD.fullmatch(template)
    if field is None:
        return _FIELD.sub(lambda inner: text_of(_cell(inner["column"], columns)), template)
    cell = _cell(field["column"], columns)
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return _DROPPED
    return cell if field["type"] is None else _parsed(field["column"], field["type"], cell)


def _cell(column: str, columns: Mapping[str, Any]) -> Any:
    if column not in columns:
        raise ValueError(f"the table has no column {column!r}")
    return columns[column]


def text_of(cell: Any) -> str:
    """Return a cell as text; a value that is no text is written as JSON, as far as JSON has such values."""
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else _as_json(cell)


def _as_json(cell: Any) -> str:
    try:
        return json.dumps(cell, ensure_ascii=False)
    except (TypeError, ValueError):  # such as a date of a database, or an address
        return str(cell)


def _parsed(column: str, kind: str, cell: Any) -> Any:
    try:
        return _PARSERS[kind](text_of(cell).strip())
    except (ValueError, OverflowError, RecursionError):
        raise ValueError(f"column {column!r} must hold {kind} values, not {text_of(cell)!r:.100}") from None


def _parse_bool(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError
    return text.lower() in _TRUE


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "bool": _parse_bool,
    "json": json.loads,
}
