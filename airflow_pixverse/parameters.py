"""What parameters may be. Each parser raises a ValueError that names the parameter and what it may be."""

from __future__ import annotations

import ast
import json
import math
import re
import reprlib
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

from airflow_pixverse.api.endpoints import is_endpoint
from airflow_pixverse.api.reply_ref import MAX_PREFIX
from airflow_pixverse.capabilities import is_made_by_mapping
from airflow_pixverse.slot_news import News
from airflow_pixverse.storage.inputs import tagged

_Choice = TypeVar("_Choice", bound=str)

# What a path of the API carries as it is: the service refuses ids that are percent-encoded.
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
    if isinstance(value, (list, tuple, set)):
        return any(map(holds_reference, value))
    if isinstance(value, dict):
        return any(map(holds_reference, value.values()))
    return hasattr(value, "resolve")


def templates(value: Any) -> list[str]:
    """Return the templates that a value is or holds."""
    if isinstance(value, str):
        return [value] if any(start in value for start in ("{{", "{%", "{#")) else []
    if isinstance(value, (list, tuple, set)):
        return [template for item in value for template in templates(item)]
    if isinstance(value, dict):
        return [template for item in value.values() for template in templates(item)]
    return []


def parse_conn_id(value: Any, name: str = "pixverse_conn_id") -> str:
    """Return the id of a connection."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{name} must be the id of a connection, not {_shown(value)}")
    return value


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


def parse_job_id(value: Any, name: str = "job_id") -> str:
    """Return the id of a job, or the ``id`` of an object that describes one, also if rendered to a string."""
    job = _unrendered(value) if isinstance(value, str) else value
    job_id = job.get("id") if isinstance(job, dict) else job
    stripped = job_id.strip() if isinstance(job_id, str) else ""
    if not _JOB_ID.fullmatch(stripped) or stripped in {".", ".."}:
        raise ValueError(
            f"{name} must be the id of a job as the API gives it, or an object with such an id, "
            f"not {_shown(value)}"
        )
    return stripped


def parse_endpoint(value: Any, name: str = "endpoint") -> str:
    """Return the path of an endpoint that makes videos, images, music or speech."""
    if not isinstance(value, str) or not is_endpoint(value.strip()):
        raise ValueError(
            f"{name} must be a path below videos/, images/, music/ or speech/, such as videos/create, "
            f"not {_shown(value)}"
        )
    return value.strip()


def parse_payload(value: Any, name: str = "payload") -> dict[str, Any]:
    """Return a payload, an object of plain JSON, its inputs tagged, also if it was rendered to a string."""
    if isinstance(value, str):
        value = _from_json(value)
    value = tagged(value)
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, such as {{'prompt': 'a cat'}}, not {_shown(value)}")
    try:
        copied = json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name} must be plain JSON: {error}") from None
    return cast("dict[str, Any]", copied)


def parse_reply_ref(value: Any, name: str = "reply_ref") -> str | None:
    """Return what a ``replyRef`` begins with; None stays None."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= MAX_PREFIX:
        raise ValueError(
            f"{name} must be a printable string of 1 to {MAX_PREFIX} characters, not {_shown(value)}"
        )
    return value


def parse_count(value: Any, name: str) -> int:
    """Return a whole number, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a whole number, 0 or more, not {_shown(value)}")
    return value


def parse_max_bytes(value: Any, name: str = "max_bytes") -> int:
    """Return a number of bytes, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number, 1 or more, not {_shown(value)}")
    return value


def parse_results(value: Any, name: str = "result") -> dict[str, Any] | list[dict[str, Any]]:
    """Return a result, or a list of results, each given as an object or as the id of a job."""
    value = _from_json(value) if isinstance(value, str) else value
    # What mapped tasks have returned is a sequence, but no list.
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return _parse_result(value, name)
    if not value:
        raise ValueError(f"{name} is an empty list: give at least one result")
    return [_parse_result(item, name) for item in value]


def parse_choice(value: _Choice, name: str, choices: tuple[_Choice, ...]) -> _Choice:
    """Return one of a few values."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {_shown(value)}")
    return value


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


def parse_news(value: Any, name: str) -> dict[str, str] | None:
    """Return what a gate is to be told; None stays None."""
    if value is None:
        return None
    match value:
        case {"reference": str(reference), "news": str(news)} if news in {*News}:
            return {"reference": reference, "news": news}
    raise ValueError(f"{name} must be an object with reference and news, not {_shown(value)}")


def parse_state(value: Any, name: str) -> dict[str, Any] | None:
    """Return what a task has given to its trigger; None stays None."""
    if value is None or isinstance(value, dict):
        return value
    raise ValueError(f"{name} must be an object, not {_shown(value)}")


def parse_job_ids(value: Any, name: str = "job_ids") -> list[str]:
    """Return the ids of jobs, at least one."""
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"{name} must be a list of ids of jobs, not {_shown(value)}")
    return [parse_job_id(item, name) for item in value]


def _parse_result(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, dict) and value.get("url") and isinstance(value["url"], str):
        return value
    try:
        job_id = parse_job_id(value, name)
    except ValueError:
        raise ValueError(
            f"{name} must be the id of a job as the API gives it, or an object with such an id or with a "
            f"url, such as {{'url': 'https://...'}}, not {_shown(value)}"
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


def _from_json(text: str) -> Any:
    """Return what a string of JSON, or of Python, stands for; another string as it is."""
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
