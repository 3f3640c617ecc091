"""The API's own routes, under ``/v2/pixverse``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from airflow_pixverse.simulator.account_calls import AccountCalls
from airflow_pixverse.simulator.bodies import problem
from airflow_pixverse.simulator.files import Files
from airflow_pixverse.simulator.library import Library
from airflow_pixverse.simulator.media import Media
from airflow_pixverse.simulator.schema import find_schema
from airflow_pixverse.simulator.submits import Submits

if TYPE_CHECKING:
    from airflow_pixverse.simulator.control import Control

PREFIX = "/v2/pixverse/"


class Api:
    """
    The handlers of the scheduler endpoints, and the routes of all.

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
            *Submits(self._control).routes(PREFIX),
            *Library(self._control).routes(PREFIX),
            *AccountCalls(self._control).routes(PREFIX),
            *Files(self._control).routes(PREFIX),
            *Media(self._control).routes(),
        ]

    async def list_executing(self, _request: web.Request) -> web.Response:
        """Answer ``GET scheduler/``."""
        return web.json_response(
            find_schema(self._control.schema).executing(self._control.service.snapshot())
        )

    async def get_capacity(self, _request: web.Request) -> web.Response:
        """Answer ``GET scheduler/available``."""
        return web.json_response(find_schema(self._control.schema).capacity(self._control.service.snapshot()))

    async def cancel(self, request: web.Request) -> web.Response:
        """Answer ``DELETE scheduler/{id}``; the id must be written as it is, as the service demands."""
        if "%" in request.rel_url.raw_path:
            return problem(400, "id: must not be percent-encoded")
        self._control.service.cancel(request.match_info["id"])
        return web.Response(status=204)
