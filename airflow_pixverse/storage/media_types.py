"""Content types and file extensions of images, videos and sound."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from types import MappingProxyType

from airflow_pixverse.api.http.headers import MEDIA_TYPES

# Types that the standard library does not know in all versions of Python, or names differently.
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "mkv": "video/x-matroska",
        "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp",
        "avif": "image/avif", "heic": "image/heic",
        "mp3": "audio/mpeg", "wav": "audio/wav", "m4a": "audio/mp4", "flac": "audio/flac", "ogg": "audio/ogg",
    }
)  # fmt: skip


def content_type_of(name: str) -> str | None:
    """Return the content type of an image, video or sound for its file name; None for other files."""
    content_type = _TYPES.get(name.rpartition(".")[2].lower()) or mimetypes.guess_type(name)[0]
    return content_type if content_type and content_type.startswith(MEDIA_TYPES) else None


def extension_of(content_type: str) -> str | None:
    """Return the usual extension of a content type, without a dot; None if unknown."""
    if not content_type.startswith(MEDIA_TYPES):
        return None
    known = next((extension for extension, of in _TYPES.items() if of == content_type), None)
    return known or (mimetypes.guess_extension(content_type) or "").lstrip(".") or None
