"""Results that are kept: their files in object storage, and what is told of them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import PixverseFatalError, PixverseLinkExpiredError
from airflow_pixverse.api.job_id import parse_job_id
from airflow_pixverse.storage.download import Download, StoredFile
from airflow_pixverse.storage.file_name import file_name_of
from airflow_pixverse.storage.paths import object_path

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.hooks.pixverse import PixverseHook
    from airflow_pixverse.storage.destination import Destination

log = logging.getLogger(__name__)


def keep(results: Sequence[JobResult], destination: Destination, hook: PixverseHook) -> list[dict[str, Any]]:
    """
    Store the files of results, and return the results in their JSON form.

    Those that are stored have ``path``, ``bytes``, ``content_type`` and ``sha256``, too. Those that are not
    completed have no file.

    :param hook: says how files are read, and asks for the URL anew where it leads to nothing any more.
    :raises PixverseFatalError: a file must not be read, or is too large.
    :raises PixverseTransientError: a file does not arrive, although it was tried again.
    :raises StorageError: a file cannot be written.
    """
    folder = object_path(destination.folder)
    taken: set[str] = set()
    values = []
    for result in results:
        value = result.to_xcom()
        if result.is_completed:

            def name(content_type: str, result: JobResult = result) -> str:
                return _free_name(file_name_of(result, content_type, destination.file_name), result, taken)

            def store(url: str, name: Callable[[str], str] = name) -> StoredFile:
                download = Download(hook.get_media_client(), max_bytes=destination.max_bytes)
                return download.store(url, folder, name)

            stored = _stored(result, store, hook)
            log.info("Stored %s (%d bytes, sha256 %s)", stored.path, stored.bytes, stored.sha256)
            value |= dataclasses.asdict(stored)
        values.append(value)
    return values


def _stored(result: JobResult, store: Callable[[str], StoredFile], hook: PixverseHook) -> StoredFile:
    """Store a result, by a new URL if the one that it has leads to nothing any more."""
    url = result.url or ""
    try:
        return store(url)
    except PixverseLinkExpiredError as error:
        if result.id is None or parse_job_id(result.id) is None:
            raise PixverseFatalError(str(error)) from error
        fresh = hook.get_result(result.id, result.kind).url
        if fresh is None or fresh == url:
            raise
        log.warning("%s: there is a new URL", error)
        return store(fresh)


def _free_name(name: str, result: JobResult, taken: set[str]) -> str:
    """Return a name that no other result of the same task has."""
    path = PurePosixPath(name)
    if name in taken:
        parsed = parse_job_id(result.id or "")
        number = parsed.number if parsed else str(len(taken))
        name = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
    taken.add(name)
    return name
