"""RunUploads: what the tasks of a DAG run have uploaded, so that none uploads the same file again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.uploads import Upload
from airflow_pixverse.storage.upload import source_of, upload

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.storage.inputs import Input

log = logging.getLogger(__name__)


class RunUploads:
    """
    Uploads each version of a file once a DAG run, and keeps in an XCom what it is called at the service.

    Two tasks that begin at once may both upload it: that is no paid job.

    :param ti: the task instance.
    :param task_ids: the tasks of the DAG that upload.
    :param client: makes the client that uploads, when one is needed.
    """

    def __init__(self, ti: Any, task_ids: Collection[str], client: Callable[[], PixverseClient]) -> None:
        self._ti = ti
        self._task_ids = list(task_ids)
        self._client = client

    def __call__(self, file: Input) -> str:
        """
        Return what the API is told in the place of an input.

        :raises PixverseError: it is refused, or does not get through.
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
