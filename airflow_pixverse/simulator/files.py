"""The call that uploads a file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_pixverse.simulator.bodies import Body, Text, problem, read_query
from airflow_pixverse.simulator.fields import FieldError

if TYPE_CHECKING:
    from airflow_pixverse.simulator.control import Control
    from airflow_pixverse.simulator.uploads import Upload

# The documents say 5 GB; this is the stricter way to read it.
MAX_BYTES = 5_000_000_000
KINDS = ("image/", "video/", "audio/")
BLOCK = 65536


class UploadQuery(Body):
    """For which account the file is uploaded."""

    email: Text | None = None


class Files:
    """
    The handler.

    :param control: has the accounts, and keeps what was uploaded
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Return the route; it may be written with or without a slash at the end."""
        return [web.post(prefix + "files{slash:/?}", self.upload)]

    async def upload(self, request: web.Request) -> web.Response:
        """Answer ``POST files/``: the body is the file, and is hashed and thrown away while it arrives."""
        email = read_query(request, UploadQuery).email
        if email is not None:
            email = self._control.service.account(email).email
        if not request.content_type.startswith(KINDS):
            raise FieldError(
                "Content-Type", "must be that of an image, a video or a sound, such as image/png"
            )
        size, digest = 0, hashlib.sha256()
        if (request.content_length or 0) <= MAX_BYTES:
            async for piece in request.content.iter_chunked(BLOCK):
                size += len(piece)
                digest.update(piece)
                if size > MAX_BYTES:
                    break
        if max(size, request.content_length or 0) > MAX_BYTES:
            return problem(413, f"body: must not have more than {MAX_BYTES} bytes")
        if not size:
            raise FieldError("body", "must be the file, and not be empty")
        origin = str(request.url.origin())
        added = self._control.files.add(origin, request.content_type, size, digest.hexdigest(), email)
        return web.json_response(_answer(added))


def _answer(upload: Upload) -> dict[str, Any]:
    described = {"path": upload.path, "url": upload.url}
    if not upload.content_type.startswith("image/"):
        return described
    return {"result": [described | {"id": upload.number, "size": upload.size, "name": upload.name}]}
