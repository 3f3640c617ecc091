"""Parsers of parameters. Each raises a ValueError that names the parameter and says what it may be."""

import ast
import json
import math
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from airflow_pixverse.api.http.url_redaction import without_queries
from airflow_pixverse.capabilities import is_made_by_mapping

_Choice = TypeVar("_Choice", bound=str)

# Characters that a path of the API carries as they are: the service refuses percent-encoded ids.
_JOB_ID = re.compile(r"[A-Za-z0-9!$&'()*+,;=:@._~-]+")


def as_json_list(value: Any) -> Any:
    """Return an iterable as a list, which can be read twice and written as JSON; anything else as it is."""
    is_json = not isinstance(value, Iterable) or isinstance(value, (str, bytes, dict, list))
    if is_json or holds_reference(value):
        return value
    # A set has another order at each parse, and Airflow would take it for a new version of the DAG.
    return sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)


def check_at_parse(task: Any, parse: Callable[[Any], object], value: Any) -> None:
    """Run ``parse`` for its errors, unless the value will only be known once the task is rendered."""
    # A mapped task is made on the worker, where an error of __init__ would be retried; execute checks again.
    if is_made_by_mapping(task):
        return
    own_delimiters = task.has_dag() and bool(task.dag.jinja_environment_kwargs) and isinstance(value, str)
    if not holds_reference(value) and not templates(value) and not own_delimiters:
        parse(value)


def holds_reference(value: Any) -> bool:
    """Return whether a value is, or holds, an XComArg, a mapped argument or the like."""
    return any(hasattr(leaf, "resolve") for leaf in _leaves(value))


def with_references(value: Any, render: Callable[[Any], Any]) -> Any:
    """Return a value in which XComArgs and the like are rendered, and nothing else is."""
    if hasattr(value, "resolve"):
        return render(value)
    if isinstance(value, Mapping):
        return {key: with_references(item, render) for key, item in value.items()}
    return [with_references(item, render) for item in value] if isinstance(value, (list, tuple)) else value


def templates(value: Any) -> list[str]:
    """Return the templates that a value is or holds."""
    return [text for text in texts_in(value) if any(start in text for start in ("{{", "{%", "{#"))]


def texts_in(value: Any) -> Iterator[str]:
    """Yield the strings that a value is or holds, at any depth."""
    return (leaf for leaf in _leaves(value) if isinstance(leaf, str))


def _leaves(value: Any) -> Iterator[Any]:
    """Yield what a value holds at any depth; the value itself, if it is no list, tuple, set or mapping."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (list, tuple, set)):
        yield value
        return
    for item in value:
        yield from _leaves(item)


def parse_conn_id(value: Any, name: str = "pixverse_conn_id") -> str:
    """Return the id of a connection."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{name} must be the id of a connection, not {short_form(value)}")
    return value


def parse_slots(value: Any, name: str = "slots") -> int:
    """Return a whole number of at least 1, which a template renders to a string."""
    try:
        slots = int(value)
        if isinstance(value, bool) or slots < 1 or slots != float(value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a whole number of at least 1, not {short_form(value)}") from None
    return slots


def parse_emails(value: Any, name: str = "emails") -> list[str] | None:
    """Return e-mails as a list; None for all accounts."""
    return _parse_names(value, name)


def parse_job_types(value: Any, name: str = "job_types") -> list[str] | None:
    """Return job types as a list; None for all types."""
    return _parse_names(value, name)


def check_job_id(value: Any, name: str = "job_id") -> str:
    """Return the id of a job, or the ``id`` of an object that describes one, also if rendered to a string."""
    job = _unrendered(value) if isinstance(value, str) else value
    job_id = job.get("id") if isinstance(job, dict) else job
    stripped = job_id.strip() if isinstance(job_id, str) else ""
    if not _JOB_ID.fullmatch(stripped) or stripped in {".", ".."}:
        raise ValueError(
            f"{name} must be the id of a job as the API gives it, or an object with such an id, "
            f"not {short_form(value)}"
        )
    return stripped


def parse_count(value: Any, name: str, least: int = 0) -> int:
    """Return a whole number, ``least`` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more, not {short_form(value)}")
    return value


def parse_max_bytes(value: Any, name: str = "max_bytes") -> int:
    """Return a number of bytes, 1 or more."""
    return parse_count(value, name, least=1)


def parse_results(value: Any, name: str = "result") -> dict[str, Any] | list[dict[str, Any]]:
    """Return a result, or a list of results, each given as an object or as the id of a job."""
    value = from_json(value) if isinstance(value, str) else value
    # The return values of mapped tasks are a sequence, but no list.
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return _parse_result(value, name)
    if not value:
        raise ValueError(f"{name} is an empty list: give at least one result")
    return [_parse_result(item, name) for item in value]


def parse_choice(value: _Choice, name: str, choices: tuple[_Choice, ...]) -> _Choice:
    """Return one of a few values."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {short_form(value)}")
    return value


def parse_older_than(value: Any, name: str = "older_than") -> timedelta | None:
    """Return an age given as a timedelta or in seconds, of which a template makes a string."""
    if value is None:
        return None
    age = parse_seconds(value, name)
    return timedelta(seconds=min(age, timedelta.max.total_seconds() // 2))


def parse_seconds(value: Any, name: str) -> float:
    """Return a duration in seconds, which may be given as a timedelta."""
    seconds = _number(value.total_seconds() if isinstance(value, timedelta) else value)
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{name} must be a timedelta or seconds, 0 or more, not {short_form(value)}")
    return seconds


def parse_optional_seconds(value: Any, name: str) -> float | None:
    """Return a duration in seconds; None if not set."""
    return None if value is None else parse_seconds(value, name)


def parse_optional_moment(value: Any, name: str) -> float | None:
    """Return a moment in seconds since the epoch; None if not set."""
    if value is None:
        return None
    moment = math.nan if isinstance(value, str) else _number(value)
    if not math.isfinite(moment):
        raise ValueError(f"{name} must be in seconds since the epoch, not {short_form(value)}")
    return moment


def parse_flag(value: Any, name: str) -> bool:
    """Return a flag."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {short_form(value)}")
    return value


def _number(value: Any) -> float:
    """Return a number; NaN for what is none."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _parse_result(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, dict) and value.get("url") and isinstance(value["url"], str):
        return value
    try:
        job_id = check_job_id(value, name)
    except ValueError:
        raise ValueError(
            f"{name} must be the id of a job as the API gives it, or an object with such an id or with a "
            f"url, such as {{'url': 'https://...'}}, not {short_form(value)}"
        ) from None
    return {"id": job_id} | (value if isinstance(value, dict) else {})


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
        raise ValueError(f"{name} must be one string or a list of strings, not {short_form(value)}")
    if not names:
        raise ValueError(f"{name} is empty: give at least one, or leave it out for all")
    for item in names:
        if not isinstance(item, str) or not item.strip() or not item.strip().isprintable():
            raise ValueError(f"{name} must hold printable strings that are not empty, not {short_form(item)}")
    return [item.strip() for item in names]


class _ShortForm(reprlib.Repr):
    """The short form of values, in which no URL shows what it is signed with."""

    def repr_str(self, text: str, level: int) -> str:
        """Return the short form of a string."""
        return super().repr_str(without_queries(text) if "://" in text else text, level)


_SHORT_FORM = _ShortForm()


def short_form(value: Any) -> str:
    """Return the form in which an error shows a value, which may be of any type and length."""
    try:
        return _SHORT_FORM.repr(value)
    except ValueError:  # an integer of thousands of digits
        return f"such a {type(value).__name__}"


def from_json(text: str) -> Any:
    """Parse a string of JSON, or of a Python literal; return any other string as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _unrendered(text)


def _unrendered(text: str) -> Any:
    """Return the list, or None, that a template rendered to a string such as ``"['a', 'b']"``."""
    if text.strip() != "None" and not text.strip().startswith(("[", "(", "{")):
        return text
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return text
