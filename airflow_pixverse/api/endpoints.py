"""The endpoints that jobs are submitted to."""

from __future__ import annotations

import re

from airflow_pixverse.api.job_id import FOLDERS

_ENDPOINT = re.compile(rf"(?:{'|'.join(FOLDERS.values())})(?:/[A-Za-z0-9_-]+)+/?")

# A seed may be chosen there ("seed" in the vendor's pages of these endpoints).
_SEEDED = frozenset(
    {
        "videos/create", "videos/create-frames", "videos/create-transition", "videos/create-fusion",
        "videos/extend", "videos/modify", "videos/restyle", "images/create",
    }
)  # fmt: skip
MAX_SEED = 2_147_483_647


def is_endpoint(text: str) -> bool:
    """Return whether ``text`` is the plain path of an endpoint that makes videos, images, music or speech."""
    return _ENDPOINT.fullmatch(text) is not None


def kind_of_endpoint(endpoint: str) -> str | None:
    """Return the kind of job that an endpoint such as ``videos/create`` makes; None where it is not known."""
    folder = endpoint.partition("/")[0]
    return next((kind for kind, name in FOLDERS.items() if name == folder), None)


def takes_seed(endpoint: str) -> bool:
    """Return whether the seed of a job may be chosen when it is submitted."""
    return endpoint.rstrip("/") in _SEEDED


def makes_several(endpoint: str) -> bool:
    """Return whether one submit may make several jobs ("success_ids" in the answers for images)."""
    return kind_of_endpoint(endpoint) == "image"
