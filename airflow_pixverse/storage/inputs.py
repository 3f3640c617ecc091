"""Inputs: files in object storage that a payload names, which are uploaded before it is submitted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_pixverse.storage.paths import is_storage_uri, parse_storage_uri

if TYPE_CHECKING:
    from airflow_pixverse.api.uploads import Upload

# In plain JSON, an object with this key alone stands for an input. Users may not give one: who checks what
# others write under the keys of paths would not look for it.
_TAG = "object_storage_file"
# As in "first_frame_path" and "image_path_1".
_PATH_KEY = re.compile(r"(?:.*_)?path(?:_\d+)?", re.IGNORECASE)
_PLAIN = (str, int, float, bool, type(None))


class Input(NamedTuple):
    """
    A file that a payload names.

    :param uri: its address.
    :param key: the key that it is given under; empty in a list at the top.
    """

    uri: str
    key: str

    def value_of(self, upload: Upload) -> str:
        """Return what the API is told in its place: the URL or the id where the key asks for that."""
        if self.key.endswith("_url") and upload.url:
            return upload.url
        if self.key.endswith("_id") and upload.id:
            return upload.id
        return upload.path


def tagged(payload: Any, key: str = "") -> Any:
    """
    Return a payload with the inputs in it as plain JSON.

    An input is an ``ObjectStoragePath``, or a string such as ``s3://bucket/a.png`` under a key such as
    ``first_frame_path``.

    :raises ValueError: an input cannot be used, or is tagged already; the message names its key.
    """
    if isinstance(payload, dict):
        if payload.keys() == {_TAG}:
            raise ValueError(
                f"{key or 'payload'} must not be an object with {_TAG} alone: give the path itself"
            )
        return {name: tagged(value, str(name)) for name, value in payload.items()}
    if isinstance(payload, (list, tuple)):
        return [tagged(value, key) for value in payload]
    if isinstance(payload, str):
        is_input = _PATH_KEY.fullmatch(key) and is_storage_uri(payload)
        return {_TAG: parse_storage_uri(payload, key)} if is_input else payload
    if isinstance(payload, _PLAIN):
        return payload
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    is_path = isinstance(payload, ObjectStoragePath)
    return {_TAG: parse_storage_uri(payload, key or "payload")} if is_path else payload


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

    :param upload: returns what to put in the place of an input.
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
    """Return the input that a tagged value stands for; None if it is none."""
    is_tagged = isinstance(value, dict) and value.keys() == {_TAG} and isinstance(value[_TAG], str)
    return Input(value[_TAG], key) if is_tagged else None
