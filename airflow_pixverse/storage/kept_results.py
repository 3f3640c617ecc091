"""Results that are kept: their files in object storage, and what is told of them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import PixverseFatalError, PixverseLinkExpiredError
from airflow_pixverse.api.job_id import parse_job_id
from airflow_pixverse.storage.download import DEFAULT_MAX_BYTES, Download, StoredFile
from airflow_pixverse.storage.file_name import DEFAULT_FILE_NAME, file_name_of, parse_file_name
from airflow_pixverse.storage.paths import object_path, parse_storage_uri

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.hooks.pixverse import PixverseHook

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Destination:
    """
    Where results are kept.

    :param folder: address of the folder.
    :param file_name: template of the names of files; see
        :func:`~airflow_pixverse.storage.file_name.parse_file_name`.
    :param max_bytes: how large a file may be.
    """

    folder: str
    file_name: str = DEFAULT_FILE_NAME
    max_bytes: int = DEFAULT_MAX_BYTES

    @classmethod
    def parse(cls, output_path: Any, file_name: Any, max_bytes: int) -> Destination | None:
        """
        Return the destination that an operator's rendered parameters stand for; None for none.

        :raises ValueError: a parameter cannot be used; the message names it.
        """
        if output_path is None:
            return None
        return cls(parse_storage_uri(output_path, "output_path"), parse_file_name(file_name), max_bytes)


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
