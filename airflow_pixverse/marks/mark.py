"""Mark: what one try of a task has submitted, or was about to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from airflow_pixverse.marks.errors import MarkUnreadableError

State = Literal["sending", "accepted", "not accepted"]

_STATES = get_args(State)


@dataclass(frozen=True)
class Mark:
    """
    What one try of a task has submitted, or was about to.

    :param state: ``sending`` is written before the POST, one of the others once it is certain which.
    :param reference: the whole ``replyRef`` of the submission.
    :param fingerprint: of endpoint and payload: a mapped index can come to mean another item.
    :param endpoint: where it was submitted to, such as ``videos/create``.
    :param max_tries: ``ti.max_tries``. A clear raises it and a retry leaves it alone, so it names the life.
    :param try_number: the try that submitted.
    :param sent_at: when, in ISO 8601 with the offset of UTC.
    :param seed: the ``seed`` of the payload, if it was chosen for the submission.
    :param email: the account that it was submitted to, if that is known.
    :param job_ids: the ids of the jobs that PixVerse accepted.
    :param cost_credits: what they cost, if the service said so.
    :param credits_before: what the account had before, if that is known.
    """

    state: State
    reference: str
    fingerprint: str
    endpoint: str
    max_tries: int
    try_number: int
    sent_at: str
    seed: int | None = None
    email: str | None = None
    job_ids: tuple[str, ...] = ()
    cost_credits: int | None = None
    credits_before: int | None = None

    def to_json(self) -> str:
        """Return the mark as a JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: object) -> Mark:
        """
        Return the mark that :meth:`to_json` made a text of.

        Keys that this version does not know are ignored.

        :param text: what a store holds.
        :raises MarkUnreadableError: it is not a mark, or not a whole one.
        """
        fields = _object(text)
        job_ids = fields.get("job_ids", [])
        if not isinstance(job_ids, list) or not all(_is_text(job_id) for job_id in job_ids):
            raise MarkUnreadableError("it has no valid 'job_ids'")
        return cls(
            state=_checked(fields, "state", lambda value: value in _STATES),
            reference=_checked(fields, "reference", _is_text),
            fingerprint=_checked(fields, "fingerprint", _is_text),
            endpoint=_checked(fields, "endpoint", _is_text),
            max_tries=_checked(fields, "max_tries", _is_whole),
            try_number=_checked(fields, "try_number", _is_whole),
            sent_at=_checked(fields, "sent_at", _is_moment),
            seed=_checked(fields, "seed", _is_whole_or_none),
            email=_checked(fields, "email", lambda value: value is None or _is_text(value)),
            job_ids=tuple(job_ids),
            cost_credits=_checked(fields, "cost_credits", _is_whole_or_none),
            credits_before=_checked(fields, "credits_before", _is_whole_or_none),
        )


def rival_of(mark: Mark, marks: Iterable[Mark]) -> Mark | None:
    """
    Return what another try of the same life has submitted, or may have; the newest, if there are several.

    Of two tries that overlap, at most one submits if each writes its mark, reads all marks, and asks this.

    :param mark: the mark of the try that asks.
    :param marks: the marks of all tries, oldest first.
    """
    rivals = [
        other
        for other in marks
        if other.try_number != mark.try_number
        and other.max_tries == mark.max_tries
        and other.state in {"sending", "accepted"}
    ]
    return rivals[-1] if rivals else None


def _object(text: object) -> dict[str, Any]:
    try:
        fields = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise MarkUnreadableError("it is not a JSON object")
    return fields


def _checked(fields: dict[str, Any], name: str, is_valid: Callable[[Any], bool]) -> Any:
    value = fields.get(name)
    if not is_valid(value):
        raise MarkUnreadableError(f"it has no valid {name!r}")
    return value


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_whole_or_none(value: object) -> bool:
    return value is None or _is_whole(value)


def _is_moment(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
