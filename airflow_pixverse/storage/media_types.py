"""Which content type goes with which end of a file's name."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from types import MappingProxyType

KINDS = ("image/", "video/", "audio/")

# Those that the standard library does not know in all versions of Python, or has other names for.
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "mkv": "video/x-matroska",
        "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp",
        "avif": "image/avif", "heic": "image/heic",
        "mp3": "audio/mpeg", "wav": "audio/wav", "m4a": "audio/mp4", "flac": "audio/flac", "ogg": "audio/ogg",
    }
)  # fmt: skip


def content_type_of(name: str) -> str | None:
    """Return the content type that the end of a name stands for; None unless it is one of :data:`KINDS`."""
    content_type = _TYPES.get(name.rpartition(".")[2].lower()) or mimetypes.guess_type(name)[0]
    return content_type if content_type and content_type.startswith(KINDS) else None


def extension_of(content_type: str) -> str | None:
    """Return the usual end of a name for a content type, without a dot; None where there is none."""
    if not content_type.startswith(KINDS):
        return None
    known = next((extension for extension, of in _TYPES.items() if of == content_type), None)
    return known or (mimetypes.guess_extension(content_type) or "").lstrip(".") or None
