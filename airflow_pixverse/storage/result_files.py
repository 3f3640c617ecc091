"""Files of results in object storage."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import PixverseFatalError, PixverseLinkExpiredError
from airflow_pixverse.api.kinds import split_job_id
from airflow_pixverse.storage.destination import file_name_of, number_of
from airflow_pixverse.storage.download import Download, StoredFile
from airflow_pixverse.storage.errors import storage_errors
from airflow_pixverse.storage.paths import object_path

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.hooks.pixverse import PixverseHook
    from airflow_pixverse.storage.destination import Destination

log = logging.getLogger(__name__)


def store_results(
    results: Sequence[JobResult],
    destination: Destination,
    hook: PixverseHook,
    folder: ObjectStoragePath | None = None,
    *,
    claim: Callable[[str], bool] | None = None,
) -> list[dict[str, Any]]:
    """
    Store the files of results, and return the results in their JSON form.

    A stored result also has ``path``, ``bytes``, ``content_type`` and ``sha256``. A result that is not
    completed has no file.

    :param hook: the task's hook, which reads files and fetches a new URL if one has expired.
    :param folder: the path of the destination. None if it is made here, by asking Airflow.
    :param claim: claims a name below the folder, and returns whether it may be used. A name that may not, or
        that a file has already, gets the job's number. None to use all names, and to replace such files.
    :raises PixverseFatalError: a file must not be read, or is too large.
    :raises PixverseTransientError: a file does not arrive, even after retries.
    :raises StorageError: a file cannot be written.
    """
    files = _ResultFiles(destination, hook, folder or object_path(destination.folder), claim)
    return [
        result.to_xcom() | (dataclasses.asdict(files.stored(result)) if result.is_completed else {})
        for result in results
    ]


class _ResultFiles:
    """The files of one task's results, each under a name of its own."""

    def __init__(
        self,
        destination: Destination,
        hook: PixverseHook,
        folder: ObjectStoragePath,
        claim: Callable[[str], bool] | None,
    ) -> None:
        self._claim = claim
        self._destination = destination
        self._folder = folder
        self._hook = hook
        self._media = hook.get_media_client()
        self._taken: set[str] = set()

    def stored(self, result: JobResult) -> StoredFile:
        """Store a result, with a new URL if its URL has expired."""
        url = result.url or ""
        try:
            return self._stored_from(url, result)
        except PixverseLinkExpiredError as error:
            if result.id is None or split_job_id(result.id) is None:
                raise PixverseFatalError(str(error)) from error
            fresh = self._hook.get_result(result.id, result.kind).url
            if fresh is None or fresh == url:
                raise
            log.warning("%s: trying a new URL", error)
            return self._stored_from(fresh, result)

    def _stored_from(self, url: str, result: JobResult) -> StoredFile:
        download = Download(self._media, max_bytes=self._destination.max_bytes)
        stored = download.store(url, self._folder, lambda content_type: self._name(result, content_type))
        log.info("Stored %s (%d bytes, sha256 %s)", stored.path, stored.bytes, stored.sha256)
        return stored

    def _name(self, result: JobResult, content_type: str) -> str:
        """Return the name of a result's file."""
        name = file_name_of(result, content_type, self._destination.file_name)
        # A name with a number may be taken, too, because each kind of job has numbers of its own.
        while name in self._taken:
            name = _numbered(name, result)
        # Claimed first: another process that claims it later sees that, even if the file is not there yet.
        while self._claim and (not self._claim(name) or self._is_there(name)):
            log.warning("%s is another row's or there already, so the file gets the number of its job", name)
            name = _numbered(name, result)
        self._taken.add(name)
        return name

    def _is_there(self, name: str) -> bool:
        path = self._folder / name
        with storage_errors("cannot be looked for", str(path)):
            self._folder.fs.invalidate_cache()
            return bool(self._folder.fs.exists(path.path))


def _numbered(name: str, result: JobResult) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}-{number_of(result)}{path.suffix}"))
