"""Destination: where results are kept, as an operator's parameters say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from airflow_pixverse.storage.file_name import DEFAULT_FILE_NAME, parse_file_name
from airflow_pixverse.storage.paths import parse_storage_uri

DEFAULT_MAX_BYTES = 5 * 1024**3


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
    def parse(cls, output_path: Any, file_name: Any, max_bytes: int) -> Self:
        """
        Return the destination that an operator's rendered parameters stand for.

        :raises ValueError: a parameter cannot be used; the message names it.
        """
        return cls(parse_storage_uri(output_path, "output_path"), parse_file_name(file_name), max_bytes)
