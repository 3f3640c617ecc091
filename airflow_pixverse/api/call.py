"""What a client sends to the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from airflow_pixverse.api.uploads import UploadBody


class RawFile(NamedTuple):
    """A file as the body of a request."""

    body: UploadBody
    content_type: str


class Call(NamedTuple):
    """
    One call of the API.

    :param path: what comes after the base; it is sent as it is.
    :param params: query parameters.
    :param json: what is sent as JSON body; None for none.
    :param file: what is sent as body in place of JSON.
    """

    method: str
    path: str
    params: Mapping[str, str | int] | None = None
    json: Any = None
    file: RawFile | None = None
