"""Submission: the response to a submit."""

from typing import Any, NamedTuple

from airflow_pixverse.api.api_model import id_text
from airflow_pixverse.api.kinds import KINDS

_ID_FIELDS = tuple(dict.fromkeys(field for kind in KINDS.values() for field in kind.id_fields))


class Submission(NamedTuple):
    """
    A submit that the service has accepted.

    :param job_ids: the ids of its jobs, at least one.
    :param answer: the whole response, as plain JSON.
    """

    job_ids: list[str]
    answer: dict[str, Any]


def job_ids_of(answer: Any) -> list[str]:
    """Return the ids in the response to a submit, each once; numbers become texts."""
    found: list[str] = []
    for field in _ID_FIELDS if isinstance(answer, dict) else ():
        ids = answer.get(field)
        found += map(id_text, ids if isinstance(ids, list) else [ids])
    return list(dict.fromkeys(filter(None, found)))
