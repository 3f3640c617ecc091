"""
Kinds of jobs: one row each, from the vendor's pages.

A new endpoint that takes a seed is one more name in the row of its kind; a new kind of job is a new row.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

COMPLETED = "COMPLETED"
FAILED = "FAILED"
MODERATED = "MODERATED"
DELETED = "DELETED"
MAX_SEED = 2_147_483_647

GOING_ON = frozenset({"QUEUED", "GENERATING", "PROCESSING"})
"""The states of jobs that have not ended."""

# A state that is final needs a meaning in JobResult.ending, too.
_STATES = {1: COMPLETED, 5: "QUEUED", 7: MODERATED, 8: FAILED, 9: "GENERATING", 10: "GENERATING"}


class Kind(NamedTuple):
    """
    A kind of job.

    :param folder: folder of the API with its endpoints and results.
    :param prefix: prefix of the fields of a result, as in ``video_id`` and ``audio_status_name``.
    :param id_fields: fields with the ids of jobs in the response to a submit.
    :param makes: the kinds of jobs that its endpoints start.
    :param results_of: the kind whose list of results shows it too.
    :param is_listed: whether a job is known to be listed while it executes (``executing`` of ``GET
        scheduler/available``). Where it is not, the absence of a job there proves nothing.
    :param is_hidden: whether ``GET <folder>/{id}`` answers 404 while the job is made.
    :param makes_several: whether one submit may make several jobs.
    :param states: names of the numbers in ``<prefix>_status``.
    :param seeded: the endpoints that take a ``seed``.
    :param anywhere: the endpoints that any account can be named to. The others take no ``email``, or may make
        something of an earlier job, which has an account of its own.
    """

    folder: str
    prefix: str
    id_fields: tuple[str, ...]
    makes: tuple[str, ...]
    results_of: str
    is_listed: bool
    is_hidden: bool = False
    makes_several: bool = False
    states: Mapping[int, str] = MappingProxyType(_STATES)
    seeded: frozenset[str] = frozenset()
    anywhere: frozenset[str] = frozenset()


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        # Some effects of videos/create make an image.
        "video": Kind(
            "videos", "video", ("video_id",), makes=("video", "image"), results_of="video", is_listed=True,
            is_hidden=True,
            seeded=frozenset(
                {
                    "videos/create", "videos/create-v3", "videos/create-v4", "videos/create-frames",
                    "videos/create-transition", "videos/create-fusion", "videos/extend", "videos/modify",
                    "videos/restyle",
                }
            ),
            anywhere=frozenset(
                {
                    "videos/create", "videos/create-v3", "videos/create-v4", "videos/create-frames",
                    "videos/create-transition", "videos/create-fusion",
                }
            ),
        ),
        "image": Kind(
            "images", "image", ("image_id", "success_ids"), makes=("image",), results_of="image",
            is_listed=True, makes_several=True, states=_STATES | {10: "PROCESSING"},
            seeded=frozenset({"images/create"}), anywhere=frozenset({"images/create"}),
        ),
        # One sentence of one page names music (scheduler/available, 2026-06-24). No sample has it, and the
        # page of GET scheduler/ leaves it out. Where it is listed it is found; its absence proves nothing.
        "music": Kind(
            "music", "audio", ("audio_id",), makes=("music",), results_of="music", is_listed=False,
            anywhere=frozenset({"music/create"}),
        ),
        # No page names speech. Its results are in the list of music.
        "speech": Kind(
            "speech", "audio", ("audio_id",), makes=("speech",), results_of="music", is_listed=False
        ),
    }
)  # fmt: skip
FOLDERS: Mapping[str, str] = MappingProxyType({name: kind.folder for name, kind in KINDS.items()})

_ENDPOINT = re.compile(rf"(?:{'|'.join(FOLDERS.values())})(?:/[A-Za-z0-9_-]+)+/?")


def is_endpoint(text: str) -> bool:
    """Return whether ``text`` is the plain path of an endpoint that makes videos, images, music or speech."""
    return _ENDPOINT.fullmatch(text) is not None


def kind_of_endpoint(endpoint: str) -> str | None:
    """Return the kind of job that an endpoint such as ``videos/create`` makes; None if unknown."""
    folder = endpoint.partition("/")[0]
    return next((kind for kind, name in FOLDERS.items() if name == folder), None)


def takes_seed(endpoint: str) -> bool:
    """Return whether the seed of a job may be chosen when it is submitted."""
    return any(endpoint.rstrip("/") in kind.seeded for kind in KINDS.values())


def takes_any_account(endpoint: str) -> bool:
    """Return whether a job may be sent to any account by its ``email``."""
    return any(endpoint.rstrip("/") in kind.anywhere for kind in KINDS.values())


def kinds_made(endpoint: str) -> Mapping[str, Kind]:
    """Return the kinds of jobs that an endpoint may start, by name; none for an unknown endpoint."""
    kind = KINDS.get(kind_of_endpoint(endpoint) or "")
    return {name: KINDS[name] for name in kind.makes} if kind else {}


def makes_several(endpoint: str) -> bool:
    """Return whether one submit may make several jobs."""
    kind = KINDS.get(kind_of_endpoint(endpoint) or "")
    return kind is not None and kind.makes_several


class JobId(NamedTuple):
    """
    The parts of an id ``user:<user>-pixverse:<email>-<kind>:<number>``.

    :param user: number of the user at useapi.net.
    :param email: the PixVerse account that runs the job.
    :param kind: ``video``, ``image``, ``music``, ``speech`` or a kind added since.
    :param number: id of the job at PixVerse.
    """

    user: str
    email: str
    kind: str
    number: str


def split_job_id(job_id: str) -> JobId | None:
    """
    Return the parts of a job id; None for an id of another form.

    E-mails contain "-", so the kind is what follows the last one.
    """
    head, _, number = job_id.rpartition(":")
    user, _, account_and_kind = head.partition("-pixverse:")
    email, _, kind = account_and_kind.rpartition("-")
    is_whole = user.startswith("user:") and number and email and kind and ":" not in kind
    return JobId(user.removeprefix("user:"), email, kind, number) if is_whole else None


def account_of(job_ids: Iterable[str]) -> str | None:
    """Return the account of the jobs of one submit, as their ids tell it. None if they do not."""
    job = next(filter(None, map(split_job_id, job_ids)), None)
    return job.email if job else None
