"""The API's own routes, under ``/v2/pixverse``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from aiohttp import web
from pydantic import Field

from airflow_pixverse.simulator.bodies import Body, Text, problem, read_body
from airflow_pixverse.simulator.schema import find_schema

if TYPE_CHECKING:
    from airflow_pixverse.simulator.control import Control

PREFIX = "/v2/pixverse/"


class SubmitBody(Body):
    """What the simulator looks at when a job is submitted; all other fields are accepted as they are."""

    email: Text | None = None
    max_jobs: Annotated[int, Field(ge=1, le=8)] | None = None
    reply_url: Text | None = None
    reply_ref: Text | None = None


class Api:
    """
    The handlers, one for each call that is simulated.

    :param control: has the service that they answer for
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; each may be written with or without a slash at the end."""
        return [
            web.get(PREFIX + "scheduler{slash:/?}", self.list_executing),
            web.get(PREFIX + "scheduler/available{slash:/?}", self.get_capacity),
            web.delete(PREFIX + "scheduler/{id}", self.cancel),
            web.post(PREFIX + "videos/create{slash:/?}", self.create_video),
            web.post(PREFIX + "images/create{slash:/?}", self.create_image),
        ]

    async def list_executing(self, _request: web.Request) -> web.Response:
        """Answer ``GET scheduler/``."""
        return web.json_response(
            find_schema(self._control.schema).executing(self._control.service.snapshot())
        )

    async def get_capacity(self, _request: web.Request) -> web.Response:
        """Answer ``GET scheduler/available``."""
        return web.json_response(find_schema(self._control.schema).capacity(self._control.service.snapshot()))

    async def create_video(self, request: web.Request) -> web.Response:
        """Answer ``POST videos/create``."""
        return web.json_response({"video_id": await self._submit("video", request)})

    async def create_image(self, request: web.Request) -> web.Response:
        """Answer ``POST images/create``."""
        return web.json_response({"success_ids": [await self._submit("image", request)]})

    async def cancel(self, request: web.Request) -> web.Response:
        """Answer ``DELETE scheduler/{id}``; the id must be written as it is, as the service demands."""
        if "%" in request.rel_url.raw_path:
            return problem(400, "id: must not be percent-encoded")
        self._control.end_job(request.match_info["id"])
        return web.Response(status=204)

    async def _submit(self, job_type: str, request: web.Request) -> str:
        body = await read_body(request, SubmitBody)
        return self._control.service.start(job_type, **dict(body))
