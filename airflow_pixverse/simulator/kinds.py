"""The kinds of jobs, and how the API writes a submit's answer and a result of each kind."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from airflow_pixverse.simulator.jobs import Job
from airflow_pixverse.simulator.service import Accepted


class Kind(NamedTuple):
    """
    A kind of job.

    :param found_at: the folders that answer for a single result
    :param listed_at: the folder whose list shows the results
    :param word: the beginning of its fields, as in ``video_id``
    :param suffix: of the file behind the URL of the result
    :param generating: the number of the status GENERATING
    :param url: the field with the URL of the result
    :param queued_is_final: whether the documents call a queued job final, although it is not
    :param is_hidden: whether a single result is not found while the job runs
    :param has_early_url: whether the documents show a URL while the job runs
    :param create_mode: tells the kinds apart that share a list
    """

    endpoints: tuple[str, ...]
    found_at: tuple[str, ...]
    listed_at: str
    word: str
    suffix: str
    generating: int = 10
    url: str = "url"
    queued_is_final: bool = False
    is_hidden: bool = False
    has_early_url: bool = False
    create_mode: str | None = None


KINDS = {
    "video": Kind(
        (
            *("videos/create", "videos/create-v4", "videos/create-v3", "videos/create-frames"),
            *("videos/create-transition", "videos/create-fusion", "videos/motion-control", "videos/extend"),
            *("videos/modify", "videos/restyle", "videos/upscale", "videos/lipsync", "music-video/create"),
        ),
        ("videos",), "videos", "video", "mp4", queued_is_final=True, is_hidden=True, has_early_url=True,
    ),
    # Some effects of videos/create make an image, so the result is found there, too.
    "image": Kind(
        ("images/create",), ("images", "videos"), "images", "image", "webp", generating=9, url="image_url"
    ),
    "music": Kind(("music/create",), ("music",), "music", "audio", "mp3", create_mode="music"),
    "speech": Kind(("speech/create",), ("speech",), "music", "audio", "mp3", create_mode="voice"),
}  # fmt: skip
SUBMIT = {endpoint: name for name, kind in KINDS.items() for endpoint in kind.endpoints}
# Of the effects, this one makes an image here.
IMAGE_TEMPLATE = 2
# The usual length of a page of each list.
PAGE_LENGTHS = {"videos": 40, "images": 50, "music": 50}
# The documents have no failed image and no moderated sound; these numbers are those of the other kinds.
NUMBERS = {"COMPLETED": 1, "QUEUED": 5, "MODERATED": 7, "FAILED": 8}


def kind_made(endpoint: str, template_id: int | str | None) -> str:
    """Return the kind of job that a submit starts."""
    made = SUBMIT[endpoint]
    return "image" if made == "video" and template_id == IMAGE_TEMPLATE else made


def write_accepted(endpoint: str, job_type: str, accepted: Accepted) -> dict[str, Any]:
    """Return the answer to a submit that was accepted."""
    if endpoint == "images/create":
        body: dict[str, Any] = {"success_ids": accepted.ids}
    else:
        body = {f"{KINDS[job_type].word}_id": accepted.ids[0]}
    return body if accepted.cost is None else body | {"cost_credits": accepted.cost}


def utc(seconds: float) -> str:
    """Return the time as the results have it, such as ``2024-11-11T12:34:56Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def media_path(job: Job) -> str:
    """Return the path of the file that the job makes."""
    return f"/media/{job.number}.{KINDS[job.type].suffix}"


def write_result(job: Job, status: str, url: str, *, with_reply_ref: bool) -> dict[str, Any]:
    """Return the result of the job, as far as it exists; the ``url`` leads to the file that the job makes."""
    kind = KINDS[job.type]
    has_url = status == "COMPLETED" or (status == "GENERATING" and kind.has_early_url)
    result: dict[str, Any] = {
        f"{kind.word}_id": job.id,
        f"{kind.word}_status": NUMBERS.get(status, kind.generating),
        f"{kind.word}_status_name": status,
        f"{kind.word}_status_final": kind.queued_is_final if status == "QUEUED" else status != "GENERATING",
        "created_at": utc(job.started),
        "prompt": job.payload.get("prompt") or "",
        "model": job.payload.get("model") or "",
        kind.url: url if has_url else "",
    }
    result |= {"create_mode": kind.create_mode} if kind.create_mode else {"seed": job.seed}
    if status == "FAILED":
        result["fail_code"] = f"{job.type}_generation_failed"
    if status in {"FAILED", "MODERATED"}:
        result["fail_reason"] = job.reason or f"The {job.type} was not made: {status.lower()}"
    if with_reply_ref:
        result["replyRef"] = job.reply_ref
    return result
