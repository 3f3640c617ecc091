"""What the parameters of sensor, operator and triggers may be: checked at parse time, and once rendered."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any


def plain(value: Any) -> Any:
    """Return what can be iterated over as a list, which can be looked at twice and be written as JSON."""
    is_plain = not isinstance(value, Iterable) or isinstance(value, (str, bytes, dict, list))
    if is_plain or holds_reference(value):
        return value
    # A set has another order at each parse, and Airflow would take it for a new version of the DAG.
    return sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)


def check_at_parse(parse: Callable[[Any], object], value: Any) -> None:
    """Run ``parse`` for its errors, unless ``value`` will only be known once it is rendered."""
    if not holds_reference(value) and not templates(value):
        parse(value)


def holds_reference(value: Any) -> bool:
    """Tell whether a value is, or holds, what another task returns, a mapped argument or the like."""
    if isinstance(value, (list, tuple, set)):
        return any(map(holds_reference, value))
    return hasattr(value, "resolve")


def templates(value: Any) -> list[str]:
    """Return the templates that a value is or holds."""
    if isinstance(value, str):
        return [value] if "{{" in value or "{%" in value else []
    if isinstance(value, (list, tuple, set)):
        return [template for item in value for template in templates(item)]
    return []


def parse_conn_id(value: Any) -> str:
    """Return ``pixverse_conn_id``."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"pixverse_conn_id must be the id of a connection, not {value!r}")
    return value


def parse_slots(value: Any) -> int:
    """Return ``slots``, a whole number of at least 1, which a template renders to a string."""
    try:
        slots = int(value)
        if isinstance(value, bool) or slots < 1 or slots != float(value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"slots must be a whole number of at least 1, not {value!r}") from None
    return slots


def parse_emails(value: Any) -> list[str] | None:
    """Return ``emails`` as a list; None stays None and means all accounts."""
    return _parse_names("emails", value)


def parse_job_types(value: Any) -> list[str] | None:
    """Return ``job_types`` as a list; None stays None and means all types."""
    return _parse_names("job_types", value)


def parse_older_than(value: Any) -> timedelta | None:
    """Return ``older_than``, a timedelta or seconds, of which a template makes a string."""
    if value is None:
        return None
    age = _parse_duration("older_than", value)
    return timedelta(seconds=min(age, timedelta.max.total_seconds() // 2))


def parse_lease(value: Any) -> float | None:
    """Return ``lease`` in seconds; None stays None and means the default."""
    return None if value is None else _parse_duration("lease", value)


def parse_poke_interval(value: Any) -> float:
    """Return ``poke_interval`` in seconds."""
    return _parse_duration("poke_interval", value)


def _parse_duration(name: str, value: Any) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{name} must be a timedelta or seconds, 0 or more, not {value!r}")
    return seconds


def _parse_names(name: str, value: Any) -> list[str] | None:
    if isinstance(value, str):
        value = _unrendered(value)
    if value is None:
        return None
    if isinstance(value, str):
        names = [value]
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, dict)):
        names = list(value)
    else:
        raise ValueError(f"{name} must be one string or a list of strings, not {value!r}")
    if not names:
        raise ValueError(f"{name} is empty: give at least one, or leave it out for all")
    for item in names:
        if not isinstance(item, str) or not item.strip():
            raise ValueError(f"{name} must hold strings that are not empty, not {item!r}")
    return [item.strip() for item in names]


def _unrendered(text: str) -> Any:
    """Return the list, or None, that a template has made a string of, such as ``"['a', 'b']"``."""
    if text.strip() != "None" and not text.strip().startswith(("[", "(", "{")):
        return text
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text
