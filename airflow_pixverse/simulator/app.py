"""The web application: the routes, and the middlewares that log, refuse and spoil requests."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiohttp import web

from airflow_pixverse.simulator import admin, api
from airflow_pixverse.simulator.bodies import problem
from airflow_pixverse.simulator.fields import FieldError
from airflow_pixverse.simulator.holds import HOLDS
from airflow_pixverse.simulator.links import LinkExpiredError
from airflow_pixverse.simulator.protection import check_request
from airflow_pixverse.simulator.requestlog import MAX_TEXT, LoggedRequest, loggable
from airflow_pixverse.simulator.state import (
    AccountError,
    AtCapacityError,
    CreditsUsedUpError,
    ModeratedPromptError,
    UnknownAccountError,
    UnknownJobError,
)
from airflow_pixverse.simulator.streams import Streamed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

    from airflow_pixverse.simulator.control import Control

log = logging.getLogger(__name__)

# No request but an upload, which is not kept, needs more. It bounds the memory that injected faults can take.
MAX_BODY_BYTES = 64 * 1024

STATUSES: Mapping[type[Exception], int] = {
    FieldError: 400,
    LinkExpiredError: 403,
    UnknownAccountError: 404,
    UnknownJobError: 404,
    CreditsUsedUpError: 412,
    ModeratedPromptError: 422,
    AtCapacityError: 429,
    AccountError: 596,
}


def create_app(control: Control) -> web.Application:
    """Return the application that answers from ``control``, and is controlled by it."""
    middlewares = Middlewares(control)
    app = web.Application(
        middlewares=[middlewares.observe, explain, middlewares.authorize], client_max_size=MAX_BODY_BYTES
    )
    app[HOLDS] = control.holds
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


class Middlewares:
    """
    The middlewares that depend on the state of the simulator.

    :param control: has the token, the log, the faults and the canned answers
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    @web.middleware
    async def observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Log the request and answer it with the next fault, if there is one; not under ``/simulator/``."""
        if request.path.startswith(admin.PREFIX):
            return await handler(request)

        async def proceed() -> web.StreamResponse:
            return await handler(request)

        path = request.rel_url.raw_path
        fault = self._control.script.next_fault(path, request.method)
        headers = loggable(request.headers) | {"Authorization": self._authorization(request)}
        logged = LoggedRequest(request.method, path[:MAX_TEXT], headers, fault=fault.name if fault else None)
        self._control.log.add(logged)
        try:
            response = await (fault.answer(request, proceed) if fault else proceed())
        except ConnectionError:
            return web.Response()  # the client has gone
        else:
            logged.status = response.status
            if isinstance(response, Streamed):
                response.logged = logged
            return response
        finally:
            log.info("%s %s %s", request.method, path, logged.status or "no answer")

    @web.middleware
    async def authorize(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse requests that may not be made, and answer those to the API for which an answer is canned."""
        if request.path.startswith(admin.PREFIX):
            check_request(request)
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
