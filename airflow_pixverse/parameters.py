"""What parameters may be. Each parser raises a ValueError that names the parameter and what it may be."""

from __future__ import annotations

import ast
import math
import reprlib
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any


def as_json_list(value: Any) -> Any:
    """Return an iterable as a list, which can be read twice and written as JSON; anything else as it is."""
    is_json = not isinstance(value, Iterable) or isinstance(value, (str, bytes, dict, list))
    if is_json or holds_reference(value):
        return value
    # A set has another order at each parse, and Airflow would take it for a new version of the DAG.
    return sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)


def check_at_parse(task: Any, parse: Callable[[Any], object], value: Any) -> None:
    """Run ``parse`` for its errors, unless the value will only be known once the task is rendered."""
    own_delimiters = task.has_dag() and bool(task.dag.jinja_environment_kwargs) and isinstance(value, str)
    if not holds_reference(value) and not templates(value) and not own_delimiters:
        parse(value)


def holds_reference(value: Any) -> bool:
    """Return whether a value is, or holds, an XComArg, a mapped argument or the like."""
    if isinstance(value, (list, tuple, set)):
        return any(map(holds_reference, value))
    return hasattr(value, "resolve")


def templates(value: Any) -> list[str]:
    """Return the templates that a value is or holds."""
    if isinstance(value, str):
        return [value] if any(start in value for start in ("{{", "{%", "{#")) else []
    if isinstance(value, (list, tuple, set)):
        return [template for item in value for template in templates(item)]
    return []


def parse_conn_id(value: Any, name: str = "pixverse_conn_id") -> str:
    """Return the id of a connection."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{name} must be the id of a connection, not {_shown(value)}")
    return value


def parse_job_id(value: Any, name: str = "job_id") -> str:
    """Return the id of a job, which may be given as an item of the list operator's XCom."""
    job_id = value.get("id") if isinstance(value, dict) else value
    if not isinstance(job_id, str) or not job_id.strip() or not job_id.strip().isprintable():
        raise ValueError(f"{name} must be the id of a job, or an object with an id, not {_shown(value)}")
    return job_id.strip()


def parse_slots(value: Any, name: str = "slots") -> int:
    """Return a whole number of at least 1, which a template renders to a string."""
    try:
        slots = int(value)
        if isinstance(value, bool) or slots < 1 or slots != float(value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a whole number of at least 1, not {_shown(value)}") from None
    return slots


def parse_emails(value: Any, name: str = "emails") -> list[str] | None:
    """Return e-mails as a list; None stays None and means all accounts."""
    return _parse_names(value, name)


def parse_job_types(value: Any, name: str = "job_types") -> list[str] | None:
    """Return job types as a list; None stays None and means all types."""
    return _parse_names(value, name)


def parse_older_than(value: Any, name: str = "older_than") -> timedelta | None:
    """Return an age given as a timedelta or in seconds, of which a template makes a string."""
    if value is None:
        return None
    age = parse_seconds(value, name)
    return timedelta(seconds=min(age, timedelta.max.total_seconds() // 2))


def parse_seconds(value: Any, name: str) -> float:
    """Return a duration in seconds, which may be given as a timedelta."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{name} must be a timedelta or seconds, 0 or more, not {_shown(value)}")
    return seconds


def parse_optional_seconds(value: Any, name: str) -> float | None:
    """Return a duration in seconds; None stays None."""
    return None if value is None else parse_seconds(value, name)


def parse_optional_moment(value: Any, name: str) -> float | None:
    """Return a moment in seconds since the epoch; None stays None."""
    if value is None:
        return None
    try:
        moment = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError, OverflowError):
        moment = math.nan
    if not math.isfinite(moment):
        raise ValueError(f"{name} must be in seconds since the epoch, not {_shown(value)}")
    return moment


def parse_flag(value: Any, name: str) -> bool:
    """Return a flag."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {_shown(value)}")
    return value


def _parse_names(value: Any, name: str) -> list[str] | None:
    if isinstance(value, str):
        value = _unrendered(value)
    if value is None:
        return None
    if isinstance(value, str):
        names = [value]
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, dict)):
        names = list(value)
    else:
        raise ValueError(f"{name} must be one string or a list of strings, not {_shown(value)}")
    if not names:
        raise ValueError(f"{name} is empty: give at least one, or leave it out for all")
    for item in names:
        if not isinstance(item, str) or not item.strip() or not item.strip().isprintable():
            raise ValueError(f"{name} must hold printable strings that are not empty, not {_shown(item)}")
    return [item.strip() for item in names]


def _shown(value: Any) -> str:
    """Return what an error shows of a value, which somebody may have rendered from anything."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of thousands of digits
        return f"such a {type(value).__name__}"


def _unrendered(text: str) -> Any:
    """Return the list, or None, that a template rendered to a string such as ``"['a', 'b']"``."""
    if text.strip() != "None" and not text.strip().startswith(("[", "(", "{")):
        return text
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
