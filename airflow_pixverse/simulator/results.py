"""How jobs are written where their results are asked for; each kind of job has its own words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from airflow_pixverse.simulator.state import Job


class Kind(NamedTuple):
    """
    A kind of result.

    :param word: what its fields begin with, as in ``video_id``
    :param generating: the number of the status GENERATING
    :param url: the field that the URL of the result is in
    :param suffix: of the file behind the URL
    :param queued_is_final: whether the documents call a queued job final, although it is not
    :param create_mode: tells the kinds apart that share a list
    """

    word: str
    generating: int = 10
    url: str = "url"
    suffix: str = "mp4"
    queued_is_final: bool = False
    create_mode: str | None = None


KINDS = {
    "video": Kind("video", queued_is_final=True),
    "image": Kind("image", generating=9, url="image_url", suffix="webp"),
    "music": Kind("audio", suffix="mp3", create_mode="music"),
    "speech": Kind("audio", suffix="mp3", create_mode="voice"),
}
# The documents have no failed image and no moderated sound; these numbers are those of the other kinds.
NUMBERS = {"COMPLETED": 1, "QUEUED": 5, "MODERATED": 7, "FAILED": 8}


def utc(seconds: float) -> str:
    """Return the time as the results have it, such as ``2024-11-11T12:34:56Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def media_path(job: Job) -> str:
    """Return the path of the file that the job makes."""
    return f"/media/{job.number}.{KINDS[job.type].suffix}"


def write(job: Job, status: str, url: str, *, with_reply_ref: bool) -> dict[str, Any]:
    """
    Return the result of the job, or what there is of it.

    :param status: the name of its status
    :param url: of the file that the job makes
    :param with_reply_ref: whether it has the ``replyRef`` that the job was submitted with
    """
    kind = KINDS[job.type]
    final = status not in {"QUEUED", "GENERATING"} or (status == "QUEUED" and kind.queued_is_final)
    # In the documents, a video has a URL while it is still being generated.
    has_url = status == "COMPLETED" or (status == "GENERATING" and job.type == "video")
    result: dict[str, Any] = {
        f"{kind.word}_id": job.id,
        f"{kind.word}_status": NUMBERS.get(status, kind.generating),
        f"{kind.word}_status_name": status,
        f"{kind.word}_status_final": final,
        "created_at": utc(job.started),
        "prompt": job.payload.get("prompt") or "",
        "model": job.payload.get("model") or "",
        kind.url: url if has_url else "",
    }
    if kind.create_mode:
        result["create_mode"] = kind.create_mode
    else:
        result["seed"] = job.seed
    if status == "FAILED":
        result["fail_code"] = f"{job.type}_generation_failed"
    if status in {"FAILED", "MODERATED"}:
        result["fail_reason"] = job.reason or f"The {job.type} was not made: {status.lower()}"
    if with_reply_ref:
        result["replyRef"] = job.reply_ref
    return result
