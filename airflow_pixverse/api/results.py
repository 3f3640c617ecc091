"""
Results of jobs, one by one and in lists.

All kinds of jobs have the same models.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationInfo, model_validator

from airflow_pixverse.api.api_model import ApiModel, Flag, Name, Number, Text, first_items, parse_iso
from airflow_pixverse.api.errors import PixverseJobFailedError, PixverseJobModeratedError
from airflow_pixverse.api.http.sanitizer import one_line, shortened
from airflow_pixverse.api.kinds import (
    COMPLETED,
    DELETED,
    FAILED,
    FOLDERS,
    GOING_ON,
    KINDS,
    MODERATED,
    split_job_id,
)

MAX_RESULTS_READ = 10_000

Ending = Literal["completed", "failed", "moderated"]

_STATES = {kind.prefix: kind.states for kind in KINDS.values()}
_ENDINGS: Mapping[str | None, Ending] = MappingProxyType(
    {COMPLETED: "completed", FAILED: "failed", MODERATED: "moderated"}
)
_OTHER_REASONS = ("error", "message", "fail_code")
_LISTS = ("data", "items", *FOLDERS.values())


class JobResult(ApiModel):
    """
    A job in ``GET videos/{id}``, and in a row of ``GET videos/``; likewise for the other kinds.

    Fields that are not listed here pass through. ``<kind>_status_final`` counts only for states that are not
    known here, since it is true of queued videos too.

    :param id: job id: the requested one, or the ``video_id``, ``image_id`` or ``audio_id`` of its kind.
    :param kind: ``video``, ``image``, ``music`` or ``speech``, from the id or as requested.
    :param email: the account, parsed from the id; None if unknown.
    :param state: ``<kind>_status_name``, or the name of the number in ``<kind>_status``: ``QUEUED``,
        ``GENERATING``, ``PROCESSING``, ``COMPLETED``, ``FAILED``, ``MODERATED`` or a state added since. None
        if unknown, as for videos that are still being made.
    :param url: URL of the result; ``image_url`` of images is read too.
    :param prompt: prompt given at submission.
    :param seed: seed of the job.
    :param created_at: time of its creation, as the API wrote it.
    :param reply_ref: reference given at submission (``replyRef``), where the API repeats it.
    :param fail_reason: reason of its failure, as the API wrote it; :attr:`reason` reads other fields too.
    """

    id: Name | None = None
    kind: Name | None = None
    email: Name | None = None
    state: Name | None = None
    url: Text | None = None
    prompt: Text | None = None
    seed: Number = None
    created_at: Text | None = None
    reply_ref: Text | None = Field(default=None, alias="replyRef")
    fail_reason: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _unify_kinds(cls, item: Any, info: ValidationInfo) -> Any:
        if not isinstance(item, dict):
            return item
        asked = info.context or {}
        kinds = (asked.get("kind"), item.get("kind"))
        kind = next((one for one in kinds if isinstance(one, str) and one), None)
        spelling, *others = (f"{prefix}_id" for prefix in _prefixes(kind))
        ids = (asked.get("id"), *(item.get(name) for name in (spelling, "id", *others)))
        job_id = next((one for one in ids if one), None)
        parsed = split_job_id(str(job_id))
        own_kind = parsed.kind if parsed and parsed.kind in FOLDERS else kind
        urls = (item.get("image_url") if own_kind == "image" else None, item.get("url"))
        fields = {key: value for key, value in item.items() if key != spelling}
        return fields | {
            "id": job_id,
            "kind": own_kind,
            "email": item.get("email") or (parsed and parsed.email),
            "state": state_of(item, kind) or item.get("state"),
            "url": next((url for url in urls if isinstance(url, str) and url.strip()), None),
        }

    @property
    def is_found(self) -> bool:
        """Whether the API said anything of the job: not where it answered 404."""
        return bool(self.state or self.url or self.model_extra)

    @property
    def is_completed(self) -> bool:
        """Whether the result is there. Without a URL it is not, whatever the state says."""
        return self.ending == "completed"

    @property
    def is_failed(self) -> bool:
        """Whether the job has failed."""
        return self.ending == "failed"

    @property
    def is_moderated(self) -> bool:
        """Whether moderation refused the job's input or its result."""
        return self.ending == "moderated"

    @property
    def is_finished(self) -> bool:
        """Whether the job has ended in a known state, and, if completed, has its result."""
        return self.ending is not None

    @property
    def ending(self) -> Ending | None:
        """The way in which the job has ended; None if it has not, or in an unknown way."""
        return None if self.state == COMPLETED and self.url is None else _ENDINGS.get(self.state)

    @property
    def has_unknown_end(self) -> bool:
        """Whether the job has ended in a state without a known meaning: ``DELETED``, or one called final."""
        # The flag "..._status_final" proves nothing about these: it is true of queued videos too.
        if self.state in _ENDINGS or self.state in GOING_ON:
            return False
        extra = self.model_extra or {}
        return self.state == DELETED or any(
            extra.get(f"{prefix}_status_final") is True for prefix in _prefixes(None)
        )

    @property
    def summary(self) -> str:
        """The response as one short line for a message: without prompt and URLs, which may be signed."""
        hidden = {"id", "kind", "email", "prompt"}
        fields = {
            name: value
            for name, value in self.to_xcom().items()
            if name not in hidden and value is not None and "://" not in json.dumps(value)
        }
        return shortened(one_line(json.dumps(fields)))

    @property
    def reason(self) -> str:
        """Reason why the job failed or was moderated, as one short line; empty if unknown."""
        if not (self.is_failed or self.is_moderated):
            return ""
        others = (self.model_extra or {}).get
        return next(filter(None, map(_reason_text, (self.fail_reason, *map(others, _OTHER_REASONS)))), "")

    @property
    def created(self) -> datetime | None:
        """Time of its creation, in UTC where the API writes no zone; None if unknown."""
        return parse_iso(self.created_at)

    def raise_for_failure(self) -> None:
        """
        Raise an error if the job has ended without a result.

        :raises PixverseJobFailedError: it has failed.
        :raises PixverseJobModeratedError: moderation refused it.
        """
        why = f": {self.reason}" if self.reason else ""
        if self.is_failed:
            raise PixverseJobFailedError(f"job {self.id} failed{why}", job_id=self.id, detail=self.reason)
        if self.is_moderated:
            raise PixverseJobModeratedError(
                f"job {self.id} was refused by moderation{why}", job_id=self.id, detail=self.reason
            )


class ResultPage(ApiModel):
    """
    A page of ``GET videos/``, and of the lists of the other kinds.

    A body without a list is an error and not an empty page, which would tell a search that there is no job.

    :param results: the jobs of the page (``data``), in the API's order, the first 10 000 of them.
    :param next_offset: the ``offset`` of the next page; None if unknown.
    :param has_more: whether there is a next page; None if unknown. ``next_offset`` may be there without one.
    :param answered_at: time of the service when it responded (the header ``Date``); None if unknown.
    """

    results: Annotated[list[JobResult], first_items(MAX_RESULTS_READ)] = Field(alias="data")
    next_offset: Number = None
    has_more: Flag = None
    answered_at: datetime | None = None

    @model_validator(mode="before")
    @classmethod
    def _find_list(cls, body: Any, info: ValidationInfo) -> Any:
        answered_at = (info.context or {}).get("answered_at")
        if isinstance(body, list):
            return {"data": body, "answered_at": answered_at}
        if not isinstance(body, dict):
            return body
        name = next((name for name in _LISTS if name in body), None)
        if name is None:
            return body
        fields = {key: value for key, value in body.items() if key != name}
        return fields | {"data": [] if body[name] is None else body[name], "answered_at": answered_at}


# Parsers of the JSON of results; their context holds the requested id and kind.
RESULT = TypeAdapter(JobResult)
RESULTS = TypeAdapter(ResultPage)


def unknown_result(job_id: str) -> JobResult:
    """Return the result of a job of which nothing is known."""
    return RESULT.validate_python({}, context={"id": job_id})


def state_of(body: Any, kind: str | None = None) -> str | None:
    """
    Return the name of the state in a result's body; None if unknown.

    :param kind: kind whose fields are read first.
    """
    if not isinstance(body, dict):
        return None
    prefixes = list(_prefixes(kind))
    for name in (body.get(f"{prefix}_status_name") for prefix in prefixes):
        if isinstance(name, str) and name.strip():
            return name.strip().upper()
    states = (_STATES[prefix].get(_number(body.get(f"{prefix}_status"))) for prefix in prefixes)
    return next(filter(None, states), None)


def _prefixes(kind: str | None) -> Iterator[str]:
    """Return the prefixes of fields, that of the kind first."""
    own = KINDS[kind].prefix if kind and kind in KINDS else None
    return iter(sorted(_STATES, key=lambda prefix: prefix != own))


def _number(value: Any) -> int:
    is_digits = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 3  # noqa: PLR2004
    return int(value) if is_digits or type(value) is int else 0


def _reason_text(reason: Any) -> str:
    if isinstance(reason, dict):
        reason = reason.get("message")
    return shortened(one_line(reason)) if isinstance(reason, str) else ""
