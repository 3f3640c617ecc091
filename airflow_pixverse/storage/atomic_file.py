"""AtomicFile: a file in object storage that is complete, or not there at all."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Self

from airflow_pixverse.storage.errors import StorageError, storage_errors

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

# Bytes of a part; stores accept at most 10,000 parts.
_PART_SIZE = 8 * 1024 * 1024

log = logging.getLogger(__name__)


class AtomicFile:
    """
    A context manager that writes under a temporary name, and moves the file at the end.

    A file that is not moved is removed. (Transactions of stores differ: in some, an incomplete file replaces
    the old one when an error occurs.)

    :param folder: the folder of the file.
    """

    def __init__(self, folder: ObjectStoragePath) -> None:
        self.written = 0
        self._folder = folder
        self._folder_uri = str(folder)
        self._fs = folder.fs
        self._temporary = f"{folder.path.rstrip('/')}/.{secrets.token_hex(8)}.part"
        self._file: Any = None

    def __enter__(self) -> Self:
        with storage_errors("cannot be written to", self._folder_uri):
            self._file = self._open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._file is None:
            return
        # After close, every store has the incomplete file under the temporary name.
        try:
            self._file.close()
            self._fs.rm_file(self._temporary)
        except Exception as error:  # noqa: BLE001 - each store has its own
            log.warning("%s may be left over: %s", self._temporary, error)

    def write(self, chunk: bytes) -> None:
        """
        Write the next bytes.

        :raises StorageError: they cannot be written.
        """
        with storage_errors("cannot be written to", self._folder_uri):
            self._file.write(chunk)
        self.written += len(chunk)

    def move_to(self, name: str) -> str:
        """
        Move the file to its name, replacing an old file, and return its address.

        :param name: a path below the folder.
        :raises StorageError: the store does not have it as it was written.
        """
        path = self._folder / name
        with storage_errors("cannot be written", str(path)):
            self._file.close()
            if (size := self._fs.info(self._temporary)["size"]) != self.written:
                raise StorageError(f"{path} cannot be written: of {self.written} bytes, {size} arrived")
            if self._fs.isdir(path.path):  # stores would move the file into it
                raise StorageError(f"{path} cannot be written: there is a folder of that name")
            if "/" in name:
                self._make_folder(path.path)
            self._fs.mv(self._temporary, path.path)
        self._file = None
        return str(path)

    def _open(self) -> Any:
        try:
            return self._fs.open(self._temporary, "wb", block_size=_PART_SIZE)
        except FileNotFoundError:
            self._make_folder(self._temporary)
            return self._fs.open(self._temporary, "wb", block_size=_PART_SIZE)

    def _make_folder(self, file: str) -> None:
        """Make the folder of a local file; in object stores, folders are parts of names."""
        parent = file.rpartition("/")[0]
        if "file" in self._fs.protocol:
            self._fs.makedirs(parent, exist_ok=True)


def check_writable(folder: ObjectStoragePath) -> None:
    """
    Check that files can be written to a folder, by writing, moving and removing an empty one.

    :raises StorageError: they cannot.
    """
    name = f".{secrets.token_hex(8)}.probe"
    with AtomicFile(folder) as file:
        path = file.move_to(name)
    with storage_errors("cannot be removed", path):
        folder.fs.rm_file((folder / name).path)
