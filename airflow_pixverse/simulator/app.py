"""
The web application: the routes, and the middlewares that log, refuse and spoil requests.

No page of another site may control the simulator. A browser lets any page send simple requests to this
machine, and names the page's origin in ``Origin`` and ``Sec-Fetch-Site``. A request with a JSON body is not
simple. A site's name may resolve to this machine (DNS rebinding), and then the browser takes its pages for
ours; but ``Host`` has the name of the site.
"""

import logging
from collections.abc import Mapping
from email.utils import formatdate
from functools import partial
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from airflow_pixverse.simulator import admin, routes
from airflow_pixverse.simulator.control import Control
from airflow_pixverse.simulator.errors import ServiceError, is_loopback, problem
from airflow_pixverse.simulator.log import MAX_TEXT, LoggedRequest, loggable
from airflow_pixverse.simulator.streams import HOLDS, Streamed

log = logging.getLogger(__name__)

# Only uploads, which are not kept, need more. It bounds the memory that injected faults can take.
MAX_BODY_BYTES = 64 * 1024


def create_app(control: Control) -> web.Application:
    """Return the application that answers from ``control``, and is controlled by it."""
    middlewares = Middlewares(control)
    app = web.Application(
        middlewares=[middlewares.observe, explain, middlewares.authorize], client_max_size=MAX_BODY_BYTES
    )
    app[HOLDS] = control.holds
    app.add_routes(routes.Routes(control).routes())
    app.add_routes(admin.Admin(control).routes())
    return app


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write every error as the API does."""
    try:
        return await handler(request)
    except web.HTTPException as exc:
        return problem(exc.status, exc.reason)
    except ServiceError as exc:
        return problem(exc.status, str(exc))


class Middlewares:
    """The middlewares that depend on the state of the simulator."""

    def __init__(self, control: Control) -> None:
        self._control = control

    @web.middleware
    async def observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Log the request and answer it with the next fault, if any; not under ``/simulator/``."""
        if request.path.startswith(admin.PREFIX):
            return await handler(request)

        path = request.rel_url.raw_path
        fault = self._control.script.next_fault(path, request.method)
        headers = loggable(request.headers) | {"Authorization": self._authorization(request)}
        logged = LoggedRequest(request.method, path[:MAX_TEXT], headers, fault=fault.name if fault else None)
        self._control.log.add(logged)
        try:
            response = await (fault.answer(request, partial(handler, request)) if fault else handler(request))
        except ConnectionError:
            return web.Response()  # the client has disconnected
        else:
            logged.status = response.status
            # The service has one clock.
            response.headers["Date"] = formatdate(self._control.service.now, usegmt=True)
            if isinstance(response, Streamed):
                response.logged = logged
            return response
        finally:
            log.info("%s %s %s", request.method, path, logged.status or "no answer")

    @web.middleware
    async def authorize(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse requests that may not be made, and give canned answers to those to the API."""
        if request.path.startswith(admin.PREFIX):
            check_origin(request)
        if not request.path.startswith(routes.PREFIX):
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


def check_origin(request: web.Request) -> None:
    """
    Check that no page of another site can have sent the request.

    :raises aiohttp.web.HTTPForbidden: when it may come from such a page
    :raises aiohttp.web.HTTPUnsupportedMediaType: when it has a body that is not declared as JSON
    """
    if not (_names_this_machine(request.headers) and _is_of_same_origin(request.headers)):
        raise web.HTTPForbidden(reason="Requests of web pages of other sites are refused")
    if request.body_exists and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="Content-Type: must be application/json")


def _names_this_machine(headers: Mapping[str, str]) -> bool:
    try:
        return is_loopback(urlsplit(f"//{headers.get('Host', '')}").hostname or "")
    except ValueError:
        return False


def _is_of_same_origin(headers: Mapping[str, str]) -> bool:
    own = f"http://{headers.get('Host')}"
    site = headers.get("Sec-Fetch-Site", "none")
    return headers.get("Origin", own) == own and site in {"none", "same-origin"}
