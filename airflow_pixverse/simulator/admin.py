"""The routes under ``/simulator/``: over HTTP, what tests do by calling :class:`Control`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from aiohttp import web
from pydantic import AwareDatetime, ConfigDict

from airflow_pixverse.simulator.bodies import Body, Text, read_body
from airflow_pixverse.simulator.faults import from_fields

if TYPE_CHECKING:
    from airflow_pixverse.simulator.control import Control

PREFIX = "/simulator/"
SHOWN_REQUESTS = 100


class FillBody(Body):
    """For how many seconds to fill every slot; null means until the jobs are ended."""

    model_config = ConfigDict(extra="forbid")

    seconds: float | None = None


class JobBody(Body):
    """A job, in the API's own words; ``seconds`` is how long it runs, null means until it is ended."""

    model_config = ConfigDict(extra="forbid")

    email: Text | None = None
    type: Text = "video"
    seconds: float | None = None
    started: AwareDatetime | None = None
    reply_url: Text | None = None
    reply_ref: Text | None = None


class FaultBody(Body):
    """A fault by name, with its parameters; how many requests meet it (null means all), and to which path."""

    model_config = ConfigDict(extra="allow")

    fault: str = ""
    times: int | None = 1
    path: Text | None = None


class Admin:
    """
    The handlers, one for each thing that a person can do.

    :param control: what they act on
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post(PREFIX + "faults", self.inject),
            web.delete(PREFIX + "faults", self.clear_faults),
            web.post(PREFIX + "fill", self.fill),
            web.post(PREFIX + "jobs", self.start_job),
            web.delete(PREFIX + "jobs", self.end_all_jobs),
            web.delete(PREFIX + "jobs/{id}", self.end_job),
            web.get(PREFIX + "requests", self.show_requests),
        ]

    async def inject(self, request: web.Request) -> web.Response:
        """Inject the fault that the body describes."""
        body = await read_body(request, FaultBody)
        self._control.inject(from_fields(body.fault, body.model_extra or {}), body.times, body.path)
        return web.Response(status=204)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """Forget all faults."""
        self._control.clear_faults()
        return web.Response(status=204)

    async def fill(self, request: web.Request) -> web.Response:
        """Fill every slot."""
        body = await read_body(request, FillBody)
        return web.json_response({"ids": self._control.fill(body.seconds)})

    async def start_job(self, request: web.Request) -> web.Response:
        """Start the job that the body describes."""
        body = await read_body(request, JobBody)
        return web.json_response({"id": self._control.start_job(**dict(body))})

    async def end_job(self, request: web.Request) -> web.Response:
        """End the job."""
        self._control.end_job(request.match_info["id"])
        return web.Response(status=204)

    async def end_all_jobs(self, _request: web.Request) -> web.Response:
        """End every job."""
        return web.json_response({"ended": self._control.end_all_jobs()})

    async def show_requests(self, _request: web.Request) -> web.Response:
        """Show how many requests there were, and the last of them."""
        shown = [dataclasses.asdict(logged) for logged in self._control.requests[-SHOWN_REQUESTS:]]
        return web.json_response({"count": self._control.request_count, "requests": shown})
