"""Destination: the folder that results are stored in, and the names of their files."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING, Any, Self

from airflow_pixverse.api.kinds import split_job_id
from airflow_pixverse.storage.media_types import extension_of
from airflow_pixverse.storage.paths import parse_storage_uri

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult

DEFAULT_MAX_BYTES = 5 * 1024**3
DEFAULT_FILE_NAME = "{type}-{number}.{ext}"

_FIELDS = frozenset({"type", "number", "ext"})
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_SUFFIX = re.compile(r"\.([A-Za-z0-9]{1,5})$")
_MAX_PART = 100
_HASH_DIGITS = 16
# Bytes between two slashes: most file systems take 255, and the fields grow when they are filled in.
_MAX_OWN_PART = 150
# As in {number:>012}; a longer one could ask for gigabytes.
_MAX_SPEC = 4


@dataclass(frozen=True)
class Destination:
    """
    The folder and the file names of stored results.

    :param folder: address of the folder.
    :param file_name: template of the names of files; see
        :func:`~airflow_pixverse.storage.destination.parse_file_name`.
    :param max_bytes: largest size of a file.
    """

    folder: str
    file_name: str = DEFAULT_FILE_NAME
    max_bytes: int = DEFAULT_MAX_BYTES

    @classmethod
    def parse(cls, output_path: Any, file_name: Any, max_bytes: int) -> Self:
        """
        Parse the rendered parameters of an operator.

        :raises ValueError: a parameter cannot be used; the message names it.
        """
        if output_path is None or str(output_path).strip() in {"", "None"}:
            raise ValueError(
                f"output_path came out as {output_path!r}, so the result would be kept nowhere: check the "
                "template, the XCom or the mapping that it comes from. To store nothing, leave it out"
            )
        return cls(parse_storage_uri(output_path, "output_path"), parse_file_name(file_name), max_bytes)


def parse_file_name(value: Any, name: str = "file_name") -> str:
    """Return the template of a file's name, which may hold ``{type}``, ``{number}`` and ``{ext}``."""
    try:
        fields = {(field, spec or "") for _, field, spec, _ in Formatter().parse(value) if field is not None}
        is_known = all(field in _FIELDS and len(spec) <= _MAX_SPEC for field, spec in fields)
        made = value.format(type="x", number="x", ext="x") if is_known else ""
    except (TypeError, ValueError, AttributeError, LookupError):
        made = ""
    parts = {part.strip() for part in made.split("/")}
    is_path = not {"", ".", ".."} & parts and made.isprintable() and not set(made) & set("*?[]\\")
    if not is_path or max(map(len, made.encode().split(b"/"))) > _MAX_OWN_PART:
        raise ValueError(
            f"{name} must be the name of a file of at most {_MAX_OWN_PART} bytes, such as "
            f"'{DEFAULT_FILE_NAME}', whose fields are "
            f"{', '.join(f'{{{field}}}' for field in sorted(_FIELDS))}, not {value!r:.200}"
        )
    return str(value)


def file_name_of(result: JobResult, content_type: str, template: str = DEFAULT_FILE_NAME) -> str:
    """
    Return the name of the file of a result.

    :param content_type: content type of the file, as its server says.
    :param template: see :func:`parse_file_name`.
    """
    return template.format(
        type=fit(result.kind or "file"),
        number=number_of(result),
        ext=_extension(result.url or "", content_type),
    )


def number_of(result: JobResult) -> str:
    """
    Return the number of a result's job, which distinguishes its file from others.

    Without a job, it is a hash of the URL's path, which stays the same when the URL is signed again.
    """
    if not result.id:
        return hashlib.sha256(_path(result.url or "").encode()).hexdigest()[:_HASH_DIGITS]
    parsed = split_job_id(result.id)
    return fit(parsed.number if parsed else result.id)


def _extension(url: str, content_type: str) -> str:
    suffix = _SUFFIX.search(_path(url))
    return extension_of(content_type) or (suffix[1].lower() if suffix else "bin")


def _path(url: str) -> str:
    """Return the path of a URL, which may be malformed."""
    return re.split("[?#]", url)[0].partition("://")[2].partition("/")[2]


def fit(text: str) -> str:
    """Return a text of the service as a part of a file's name, without separators."""
    return _UNFIT.sub("_", text).strip(".")[:_MAX_PART] or "_"
