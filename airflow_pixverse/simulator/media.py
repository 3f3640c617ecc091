"""The place of PixVerse's media server, where the URLs of results lead to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import web

from airflow_pixverse.simulator.bodies import problem
from airflow_pixverse.simulator.streams import IGNORES_RANGE, Streamed

if TYPE_CHECKING:
    from airflow_pixverse.simulator.control import Control
    from airflow_pixverse.simulator.media_files import MediaFile

# Other ranges may be ignored, says RFC 9110.
RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


class Media:
    """
    The handler.

    :param control: has the jobs and their files, and checks links
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    def routes(self) -> list[web.RouteDef]:
        """Return the route."""
        return [web.get("/media/{number:[0-9]{1,18}}.{suffix}", self.show)]

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer with the file, or the part of it that is asked for; it takes no token."""
        self._control.check_link(request.path, request.query)
        file = self._control.media_file(int(request.match_info["number"]), request.match_info["suffix"])
        headers = {"Content-Type": file.content_type, "ETag": file.etag, "Accept-Ranges": "bytes"}
        start, stop = 0, file.size
        if wanted := _wanted(request, file):
            start, last = wanted
            stop = min(stop, last + 1)
            if start >= stop:
                response = problem(416, "Range: begins behind the end of the file")
                response.headers["Content-Range"] = f"bytes */{file.size}"
                return response
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
        return Streamed(
            stop - start,
            lambda begin, end: file.read(start + begin, start + end),
            status=206 if wanted else 200,
            headers=headers,
        )


def _wanted(request: web.Request, file: MediaFile) -> tuple[int, int] | None:
    """Return the first and the last position that the request asks for, or ``None`` for the whole file."""
    match = RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or IGNORES_RANGE in request or request.headers.get("If-Range", file.etag) != file.etag:
        return None
    first, last = int(match[1]), int(match[2]) if match[2] else None
    if last is None:
        return first, file.size - 1
    return None if last < first else (first, last)
