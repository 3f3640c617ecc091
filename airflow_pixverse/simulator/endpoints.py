"""The calls that submit jobs: their paths, and how they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_pixverse.simulator.results import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_pixverse.simulator.state import Accepted

# What each of them makes.
SUBMIT: Mapping[str, str] = {
    "videos/create": "video",
    "videos/create-v4": "video",
    "videos/create-v3": "video",
    "videos/create-frames": "video",
    "videos/create-transition": "video",
    "videos/create-fusion": "video",
    "videos/motion-control": "video",
    "videos/extend": "video",
    "videos/modify": "video",
    "videos/restyle": "video",
    "videos/upscale": "video",
    "videos/lipsync": "video",
    "music-video/create": "video",
    "images/create": "image",
    "music/create": "music",
    "speech/create": "speech",
}
# Some effects make an image; here, it is this one.
IMAGE_TEMPLATE = 2


def made_by(endpoint: str, template_id: int | str | None) -> str:
    """Return the type of job that is submitted."""
    made = SUBMIT[endpoint]
    return "image" if made == "video" and template_id == IMAGE_TEMPLATE else made


def answer(endpoint: str, job_type: str, accepted: Accepted) -> dict[str, Any]:
    """Return the answer to a submit that was accepted."""
    ids, cost = accepted
    body: dict[str, Any] = (
        {"success_ids": ids} if endpoint == "images/create" else {f"{KINDS[job_type].word}_id": ids[0]}
    )
    return body if cost is None else body | {"cost_credits": cost}
