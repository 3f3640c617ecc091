"""What has become of jobs: their results, one by one and as lists, in one form for all kinds of jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationInfo, model_validator

from airflow_pixverse.api.api_model import ApiModel, Flag, Name, Number, Text, first, moment
from airflow_pixverse.api.errors import PixverseJobFailedError, PixverseJobModeratedError
from airflow_pixverse.api.job_id import FOLDERS, parse_job_id
from airflow_pixverse.api.sanitizer import MAX_WORDS, one_line, shortened

MAX_RESULTS_READ = 10_000

COMPLETED = "COMPLETED"
FAILED = "FAILED"
MODERATED = "MODERATED"

# What the fields of a kind begin with, as in video_id, image_status and audio_status_name.
_PREFIXES: Mapping[str, str] = MappingProxyType(
    {"video": "video", "image": "image", "music": "audio", "speech": "audio"}
)
_VIDEO_STATES = {1: COMPLETED, 5: "QUEUED", 7: MODERATED, 8: FAILED, 9: "GENERATING", 10: "GENERATING"}
_STATES: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {"video": _VIDEO_STATES, "image": _VIDEO_STATES | {10: "PROCESSING"}, "audio": _VIDEO_STATES}
)
_OTHER_REASONS = ("error", "message", "fail_code")
_LISTS = ("data", "items", *FOLDERS.values())


class JobResult(ApiModel):
    """
    What ``GET videos/{id}`` and its likes say of a job, and each row of ``GET videos/`` and its likes.

    Whatever else the API says passes through. ``<kind>_status_final`` is not trusted, as it is true of queued
    videos too.

    :param id: job id: the one that was asked for, or the ``video_id``, ``image_id`` or ``audio_id`` of its
        kind.
    :param kind: ``video``, ``image``, ``music`` or ``speech``, from the id or as it was asked for.
    :param email: the account, parsed from the id; None where the id tells none.
    :param state: ``<kind>_status_name``, or what ``<kind>_status`` stands for where there is no name:
        ``QUEUED``, ``GENERATING``, ``PROCESSING``, ``COMPLETED``, ``FAILED``, ``MODERATED`` or a state added
        since. None where the API tells none, as it does of videos that are still being made.
    :param url: where the result is; ``image_url`` of images is read too.
    :param prompt: prompt given at submission.
    :param seed: seed of the job.
    :param created_at: when it was made, as the API wrote it.
    :param reply_ref: reference given at submission (``replyRef``), where the API repeats it.
    :param fail_reason: why it failed, as the API wrote it; :attr:`reason` looks further.
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
        parsed = parse_job_id(str(job_id))
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
    def is_completed(self) -> bool:
        """Whether the result is there. Without a URL it is not, whatever the state says."""
        return self.state == COMPLETED and self.url is not None

    @property
    def is_failed(self) -> bool:
        """Whether the job has failed."""
        return self.state == FAILED

    @property
    def is_moderated(self) -> bool:
        """Whether moderation refused the job's input or its result."""
        return self.state == MODERATED

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is to be waited for."""
        return self.is_completed or self.is_failed or self.is_moderated

    @property
    def reason(self) -> str:
        """Why the job failed or was moderated, as one short line; empty where the API does not say."""
        if not (self.is_failed or self.is_moderated):
            return ""
        others = (self.model_extra or {}).get
        return next(filter(None, map(_words, (self.fail_reason, *map(others, _OTHER_REASONS)))), "")

    @property
    def created(self) -> datetime | None:
        """When it was made; None where the API does not say, or not as ISO 8601. Without a zone it is UTC."""
        return moment(self.created_at)

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
    One page of ``GET videos/`` and its likes.

    A body without a list is an error, and no empty page: whoever looks for a job must not conclude from it
    that there is none.

    :param results: the jobs of the page (``data``), in the API's order, the first 10 000 of them.
    :param next_offset: the ``offset`` of the next page; None where the API gives none.
    :param has_more: whether there is a next page; None where the API does not say. ``next_offset`` may be
        there although there is none.
    """

    results: Annotated[list[JobResult], first(MAX_RESULTS_READ)] = Field(alias="data")
    next_offset: Number = None
    has_more: Flag = None

    @model_validator(mode="before")
    @classmethod
    def _find_list(cls, body: Any) -> Any:
        if isinstance(body, list):
            return {"data": body}
        if not isinstance(body, dict):
            return body
        name = next((name for name in _LISTS if name in body), None)
        if name is None:
            return body
        fields = {key: value for key, value in body.items() if key != name}
        return fields | {"data": [] if body[name] is None else body[name]}


# What reads the JSON of results; their context says what was asked for: the id, the kind.
RESULT = TypeAdapter(JobResult)
RESULTS = TypeAdapter(ResultPage)


def state_of(body: Any, kind: str | None = None) -> str | None:
    """
    Return the name of the state in a result's body; None where there is none.

    :param kind: its fields are looked at first.
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
    """Return what fields may begin with, that of the kind first."""
    own = _PREFIXES.get(kind or "")
    return iter(sorted(_STATES, key=lambda prefix: prefix != own))


def _number(value: Any) -> int:
    is_digits = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 3  # noqa: PLR2004
    return int(value) if is_digits or type(value) is int else 0


def _words(reason: Any) -> str:
    if isinstance(reason, dict):
        reason = reason.get("message")
    return shortened(one_line(reason), MAX_WORDS) if isinstance(reason, str) else ""
