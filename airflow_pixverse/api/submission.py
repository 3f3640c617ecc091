"""What is submitted, and what the service answers when it has accepted it."""

from __future__ import annotations

from typing import Any, NamedTuple

from airflow_pixverse.api.api_model import clean_name

_ID_FIELDS = ("video_id", "image_id", "success_ids", "audio_id")


class Submission(NamedTuple):
    """
    A submit that the service has accepted.

    :param job_ids: the ids of its jobs, at least one.
    :param answer: all that the service answered, as plain JSON.
    """

    job_ids: list[str]
    answer: dict[str, Any]


def job_ids_of(answer: Any) -> list[str]:
    """Return the ids in an answer, each once, whatever their field is called; numbers become texts."""
    found: list[str] = []
    for field in _ID_FIELDS if isinstance(answer, dict) else ():
        ids = answer.get(field)
        found += [_text(one) for one in (ids if isinstance(ids, list) else [ids])]
    return list(dict.fromkeys(filter(None, found)))


def _text(job_id: Any) -> str:
    # PixVerse writes 0 for a job that there is none of.
    is_id = isinstance(job_id, (str, int)) and not isinstance(job_id, bool) and job_id != 0
    return clean_name(str(job_id)) if is_id else ""
