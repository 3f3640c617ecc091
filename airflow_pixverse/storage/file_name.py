"""What the file of a result is called."""

from __future__ import annotations

import re
from string import Formatter
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.job_id import parse_job_id
from airflow_pixverse.storage.media_types import extension_of

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult

DEFAULT_FILE_NAME = "{type}-{number}.{ext}"

_FIELDS = frozenset({"type", "number", "ext"})
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_SUFFIX = re.compile(r"\.([A-Za-z0-9]{1,5})$")
_MAX_PART = 100
# In bytes, of what stands between two slashes: most folders take 255, and the fields are longer than here.
_MAX_OWN_PART = 150
# As in {number:>012}; a longer one could ask for gigabytes.
_MAX_SPEC = 4


def parse_file_name(value: Any, name: str = "file_name") -> str:
    """Return a template of the name of a file, which may hold ``{type}``, ``{number}`` and ``{ext}``."""
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

    :param content_type: of the file, as its server says.
    :param template: see :func:`parse_file_name`.
    """
    parsed = parse_job_id(result.id or "")
    return template.format(
        type=_fit(result.kind or "file"),
        number=_fit(parsed.number if parsed else result.id or "0"),
        ext=_extension(result.url or "", content_type),
    )


def _extension(url: str, content_type: str) -> str:
    suffix = _SUFFIX.search(re.split("[?#]", url)[0].partition("://")[2].partition("/")[2])
    return extension_of(content_type) or (suffix[1].lower() if suffix else "bin")


def _fit(text: str) -> str:
    """Return a text of somebody else's as a part of a name, which is no path."""
    return _UNFIT.sub("_", text).strip(".")[:_MAX_PART] or "_"
