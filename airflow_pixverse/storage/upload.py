"""The upload of a file from object storage."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.storage.errors import StorageError, explaining
from airflow_pixverse.storage.media_types import KINDS, content_type_of
from airflow_pixverse.storage.paths import object_path

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.uploads import Upload

# Of a large file, so much is read ahead at once.
_BLOCK_SIZE = 16 * 1024 * 1024


class Source(NamedTuple):
    """
    A file in object storage as it is now.

    :param path: where it is.
    :param size: in bytes.
    :param version: what changes when the file does: its etag, or its size and time of change.
    :param content_type: such as ``image/png``.
    """

    path: ObjectStoragePath
    size: int
    version: str
    content_type: str


def source_of(uri: str) -> Source:
    """
    Look at a file.

    :param uri: such as ``s3://bucket/a.png``.
    :raises StorageError: it cannot be read, or is no image, video or sound.
    """
    path = object_path(uri)
    with explaining("cannot be read", uri):
        # What another process has put there since is not in the listings that stores remember.
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
    Upload a file, of which no more than a few blocks are in memory.

    :param email: the account that it is uploaded with; None for any.
    :raises PixverseError: it is refused, or does not get through.
    :raises StorageError: it cannot be read, or has changed meanwhile.
    """
    opened = partial(
        source.path.fs.open, source.path.path, "rb", block_size=_BLOCK_SIZE, cache_type="readahead"
    )
    uri = str(source.path)
    try:
        with explaining("cannot be uploaded", uri):
            answer = client.upload(opened, size=source.size, content_type=source.content_type, email=email)
    except PixverseError as error:
        # The service does not know which of several files it has refused.
        error.args = (f"{uri} cannot be uploaded: {error}",)
        raise
    if source_of(uri).version != source.version:
        raise StorageError(f"{uri} cannot be uploaded: it has changed meanwhile")
    return answer


def _content_type(uri: str, stored: object) -> str:
    """Return the content type that the store tells, or that the name does."""
    if isinstance(stored, str) and stored.startswith(KINDS):
        return stored
    if content_type := content_type_of(uri):
        return content_type
    raise StorageError(
        f"{uri} cannot be uploaded: neither its content type nor the end of its name says which kind of "
        "image, video or sound it is"
    )
