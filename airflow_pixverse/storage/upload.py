"""Uploads from object storage: each version of a file once a DAG run."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.api.http.headers import MEDIA_TYPES
from airflow_pixverse.api.uploads import Upload
from airflow_pixverse.storage.errors import StorageError, storage_errors
from airflow_pixverse.storage.media_types import content_type_of
from airflow_pixverse.storage.paths import object_path

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.storage.inputs import Input

# Bytes of a large file that are read ahead at once.
_BLOCK_SIZE = 16 * 1024 * 1024

log = logging.getLogger(__name__)


class Source(NamedTuple):
    """
    A file in object storage as it is now.

    :param path: its path.
    :param size: in bytes.
    :param version: a text that changes with the file: its ETag, or its size and time of change.
    :param content_type: such as ``image/png``.
    """

    path: ObjectStoragePath
    size: int
    version: str
    content_type: str


def source_of(uri: str) -> Source:
    """
    Return a file's metadata.

    :param uri: such as ``s3://bucket/a.png``.
    :raises StorageError: it cannot be read, or is no image, video or sound.
    """
    return source_at(object_path(uri))


def source_at(path: ObjectStoragePath) -> Source:
    """
    Return the metadata of a file whose path is known, without asking Airflow for its connection.

    :raises StorageError: it cannot be read, or is no image, video or sound.
    """
    uri = str(path)
    with storage_errors("cannot be read", uri):
        # A store's cached listing does not have files of other processes.
        path.fs.invalidate_cache()
        info = path.fs.info(path.path)
        if info["type"] != "file":
            raise StorageError(f"{uri} cannot be read: it is no file")
        size = int(info["size"])
        etag = info.get("ETag") or info.get("etag")
        changed = info.get("mtime") or info.get("LastModified") or info.get("updated")
        stored_type = info.get("ContentType") or info.get("contentType")  # of S3, and of Google's store
    return Source(path, size, str(etag or f"{size} {changed}"), _content_type(uri, stored_type))


def upload(client: PixverseClient, source: Source, email: str | None = None) -> Upload:
    """
    Upload a file, with a few blocks in memory at a time.

    :param email: the account to upload it with; None for any account.
    :raises PixverseError: the service refuses it, or the upload fails.
    :raises StorageError: it cannot be read, or has changed meanwhile.
    """
    opened = partial(
        source.path.fs.open, source.path.path, "rb", block_size=_BLOCK_SIZE, cache_type="readahead"
    )
    uri = str(source.path)
    with storage_errors("cannot be uploaded", uri):
        try:
            answer = client.upload(opened, size=source.size, content_type=source.content_type, email=email)
        except PixverseError as error:
            # The service's error does not say which of several files it refuses.
            error.args = (f"{uri} cannot be uploaded: {error}",)
            raise
    if source_at(source.path).version != source.version:
        raise StorageError(f"{uri} cannot be uploaded: it has changed meanwhile")
    return answer


def _content_type(uri: str, stored: object) -> str:
    """Return the content type of the store's metadata, or of the file's name."""
    if isinstance(stored, str) and stored.startswith(MEDIA_TYPES):
        return stored
    if content_type := content_type_of(uri):
        return content_type
    raise StorageError(
        f"{uri} cannot be uploaded: neither its content type nor the end of its name says which kind of "
        "image, video or sound it is"
    )


class RunUploads:
    """
    Uploads each version of a file once a DAG run, and keeps its name at the service in an XCom.

    Two tasks that start at the same time may both upload it; an upload costs nothing.

    :param ti: the task instance.
    :param task_ids: the tasks of the DAG that upload.
    :param client: function that makes the client, when one is needed.
    """

    def __init__(self, ti: Any, task_ids: Collection[str], client: Callable[[], PixverseClient]) -> None:
        self._ti = ti
        self._task_ids = list(task_ids)
        self._client = client

    def __call__(self, file: Input) -> str:
        """
        Return the value to submit in place of an input.

        :raises PixverseError: the service refuses it, or the upload fails.
        :raises StorageError: it cannot be read.
        """
        source = source_of(file.uri)
        client = self._client()
        # The files of one service and token are not those of another.
        text = f"{client.identity}\n{source.path}\n{source.version}"
        key = f"pixverse_upload_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        known = self._known(key)
        if known is None:
            known = upload(client, source)
            log.info("Uploaded %s (%d bytes) as %s", file.uri, source.size, known.path)
            value = {"file": file.uri, "path": known.path, "url": known.url, "id": known.id}
            self._ti.xcom_push(key=key, value=value)
        return file.value_of(known)

    def _known(self, key: str) -> Upload | None:
        for value in self._ti.xcom_pull(task_ids=self._task_ids, key=key) or ():
            match value:
                case {"path": str(path), "url": url, "id": id_}:
                    return Upload(path, url, id_, value)
        return None
