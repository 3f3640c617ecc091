"""The HTTP side put together: who may ask, what is logged, and what goes wrong on purpose."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from aiohttp import web

from airflow_pixverse.simulator import admin, api
from airflow_pixverse.simulator.bodies import problem
from airflow_pixverse.simulator.fields import FieldError
from airflow_pixverse.simulator.requestlog import LoggedRequest
from airflow_pixverse.simulator.state import AtCapacityError, UnknownAccountError, UnknownJobError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

    from airflow_pixverse.simulator.control import Control

log = logging.getLogger(__name__)

STATUSES: Mapping[type[Exception], int] = {
    FieldError: 400,
    UnknownAccountError: 404,
    UnknownJobError: 404,
    AtCapacityError: 429,
}


def create_app(control: Control) -> web.Application:
    """Return the application that answers from ``control``, and is controlled by it."""
    door = Door(control)
    app = web.Application(middlewares=[door.observe, explain, door.guard])
    app.add_routes(api.Api(control).routes())
    app.add_routes(admin.Admin(control).routes())
    return app


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write every error as the API does."""
    try:
        return await handler(request)
    except web.HTTPException as exc:
        return problem(exc.status, exc.reason)
    except tuple(STATUSES) as exc:
        return problem(STATUSES[type(exc)], str(exc))


class Door:
    """
    What requests pass on their way in.

    :param control: what it acts on
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    @web.middleware
    async def observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Log the request, and answer it with the fault that is due, if one is."""
        if request.path.startswith(admin.PREFIX):
            return await handler(request)

        async def proceed() -> web.Response:
            return cast("web.Response", await handler(request))

        path = request.rel_url.raw_path
        fault = self._control.script.next_fault(path)
        headers = {name.title(): value for name, value in request.headers.items()}
        headers["Authorization"] = self._authorization(request)
        logged = LoggedRequest(request.method, path, headers, fault=fault.name if fault else None)
        self._control.log.add(logged)
        try:
            response = await (fault.answer(request, proceed) if fault else proceed())
        except ConnectionError:
            return web.Response()  # nobody is left to read it
        else:
            logged.status = response.status
            return response
        finally:
            log.info("%s %s %s", request.method, path, logged.status or "no answer")

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse API requests without the token, and answer others with what is canned for them."""
        if not request.path.startswith(api.PREFIX):
            return await handler(request)
        if self._authorization(request) != "authorized":
            return problem(401, "Unauthorized")
        if canned := self._control.script.canned(request.rel_url.raw_path):
            status, body = canned
            return web.Response(status=status, body=body, content_type="application/json")
        return await handler(request)

    def _authorization(self, request: web.Request) -> str:
        presented = request.headers.get("Authorization")
        if presented is None:
            return "missing"
        return "authorized" if presented == f"Bearer {self._control.token}" else "wrong"
