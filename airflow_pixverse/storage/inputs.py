"""Inputs: files in object storage that a payload names, uploaded before the submit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_pixverse.storage.paths import parse_storage_uri

if TYPE_CHECKING:
    from airflow_pixverse.api.uploads import Upload

# In plain JSON, an object with this key alone stands for an input. Users may not give one: a review of the
# keys that hold paths would miss it.
_TAG = "object_storage_file"
# As in "first_frame_path" and "image_path_1".
_PATH_KEY = re.compile(r"(?:.*_)?path(?:_\d+)?", re.IGNORECASE)
_WEB_URL = re.compile(r"https?://", re.IGNORECASE)
_PLAIN = (str, int, float, bool, type(None))


class Input(NamedTuple):
    """
    A file that a payload names.

    :param uri: its address.
    :param key: its key in the payload; empty in a list at the top.
    """

    uri: str
    key: str

    def value_of(self, upload: Upload) -> str:
        """Return the value to submit in its place: a path, or the URL or id that the key asks for."""
        if self.key.endswith("_url") and upload.url:
            return upload.url
        if self.key.endswith("_id") and upload.id:
            return upload.id
        return upload.path


def is_path_key(key: str) -> bool:
    """Return whether a string under a key such as ``first_frame_path`` may be the path of an input."""
    return _PATH_KEY.fullmatch(key) is not None


def tagged(payload: Any, key: str = "") -> Any:
    """
    Return a payload in which the inputs are plain JSON.

    An input is an ``ObjectStoragePath``, or a string such as ``s3://bucket/a.png`` under a key such as
    ``first_frame_path``. Blanks around such a string, as a CSV file may have them, are dropped.

    :raises ValueError: an input cannot be used, or is tagged already; the message names its key.
    """
    if isinstance(payload, dict):
        if payload.keys() == {_TAG}:
            raise ValueError(
                f"{key or 'payload'} must not be an object with {_TAG} alone: give the path itself"
            )
        return {_checked_key(name): tagged(value, str(name)) for name, value in payload.items()}
    if isinstance(payload, (list, tuple)):
        return [tagged(value, key) for value in payload]
    if isinstance(payload, str):
        return _tagged_string(payload.strip(), key) if is_path_key(key) else payload
    if isinstance(payload, _PLAIN):
        return payload
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    is_path = isinstance(payload, ObjectStoragePath)
    return {_TAG: parse_storage_uri(payload, key or "payload")} if is_path else payload


def _tagged_string(text: str, key: str) -> Any:
    """Return a string under the key of a path as an input, or as a name that the service knows."""
    # A malformed address is no such name: the user would pay for a job without its picture.
    is_input = "://" in text and not _WEB_URL.match(text)
    return {_TAG: parse_storage_uri(text, key)} if is_input else text


def _checked_key(key: Any) -> Any:
    """Return a key of a payload; refuse the key of a path with blanks around it."""
    if isinstance(key, str) and key != key.strip() and is_path_key(key.strip()):
        raise ValueError(f"{key.strip()} is given as {key!r}: leave out the blanks around it")
    return key


def inputs_of(payload: Any, key: str = "") -> Iterator[Input]:
    """Return the inputs in a payload that is plain JSON."""
    if file := _input_of(payload, key):
        yield file
        return
    match payload:
        case dict():
            for name, value in payload.items():
                yield from inputs_of(value, name)
        case list():
            for value in payload:
                yield from inputs_of(value, key)


def with_uploads(payload: Any, upload: Callable[[Input], str], key: str = "") -> Any:
    """
    Return a payload with its inputs replaced.

    :param upload: function that returns the value in place of an input.
    """
    if file := _input_of(payload, key):
        return upload(file)
    match payload:
        case dict():
            return {name: with_uploads(value, upload, name) for name, value in payload.items()}
        case list():
            return [with_uploads(value, upload, key) for value in payload]
    return payload


def _input_of(value: Any, key: str) -> Input | None:
    """Return the input of a tagged value; None for other values."""
    is_tagged = isinstance(value, dict) and value.keys() == {_TAG} and isinstance(value[_TAG], str)
    return Input(value[_TAG], key) if is_tagged else None
