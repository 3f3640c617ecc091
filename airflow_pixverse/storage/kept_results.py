"""Results that are kept: their files in object storage, and what is told of them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
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
    keeper = _Keeper(destination, hook)
    return [
        result.to_xcom() | (dataclasses.asdict(keeper.stored(result)) if result.is_completed else {})
        for result in results
    ]


class _Keeper:
    """Stores the results of one task, each under a name that none of the others has."""

    def __init__(self, destination: Destination, hook: PixverseHook) -> None:
        self._destination = destination
        self._folder = object_path(destination.folder)
        self._hook = hook
        self._media = hook.get_media_client()
        self._taken: set[str] = set()

    def stored(self, result: JobResult) -> StoredFile:
        """Store a result, by a new URL if the one that it has leads to nothing any more."""
        url = result.url or ""
        try:
            return self._stored_from(url, result)
        except PixverseLinkExpiredError as error:
            if result.id is None or parse_job_id(result.id) is None:
                raise PixverseFatalError(str(error)) from error
            fresh = self._hook.get_result(result.id, result.kind).url
            if fresh is None or fresh == url:
                raise
            log.warning("%s: there is a new URL", error)
            return self._stored_from(fresh, result)

    def _stored_from(self, url: str, result: JobResult) -> StoredFile:
        download = Download(self._media, max_bytes=self._destination.max_bytes)
        stored = download.store(url, self._folder, lambda content_type: self._name(result, content_type))
        log.info("Stored %s (%d bytes, sha256 %s)", stored.path, stored.bytes, stored.sha256)
        return stored

    def _name(self, result: JobResult, content_type: str) -> str:
        """Return the name of a result's file."""
        name = file_name_of(result, content_type, self._destination.file_name)
        parsed = parse_job_id(result.id or "")
        number = parsed.number if parsed else str(len(self._taken))
        # A name with a number may be taken, too, since each kind of job is numbered by itself.
        while name in self._taken:
            path = PurePosixPath(name)
            name = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
        self._taken.add(name)
        return name
