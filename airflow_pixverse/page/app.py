"""The routes of the page, each behind the right to see plugins, and the headers of their responses."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.page.capacity import CapacityPoller
from airflow_pixverse.page.compose import compose
from airflow_pixverse.page.database import DatabaseReader

_STATIC = Path(__file__).with_name("static")
_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000
_MAX_TEXT = 250
_NOT_FOUND = 404
_METHOD_NOT_ALLOWED = 405
_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_FILES = {
    "page.js": "text/javascript",
    "feed.js": "text/javascript",
    "words.js": "text/javascript",
    "page.css": "text/css",
}
# A new version of the package has other URLs.
_CACHED = {"Cache-Control": "private, max-age=3600"}


class _Application(FastAPI):
    """An application with security headers on every response; middleware would leave out status 500."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_SECURITY_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await super().__call__(scope, receive, send_with_headers)


def new_app() -> FastAPI:
    """Return the application that Airflow mounts; it inherits no access checks from Airflow's own."""
    app = _Application(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
    )
    database = DatabaseReader()
    pollers: dict[str, CapacityPoller] = {}

    for name, media_type in _FILES.items():
        app.add_api_route(f"/{name}", _sender_of(name, media_type))

    @app.get("/api/capacity")
    async def capacity(
        user: GetUserDep,
        conn_id: Annotated[str | None, Query(max_length=_MAX_TEXT)] = None,
        find: Annotated[str, Query(max_length=_MAX_TEXT)] = "",
        limit: Annotated[int, Query(ge=1, le=_MAX_LIMIT)] = _DEFAULT_LIMIT,
    ) -> JSONResponse:
        readable = await run_in_threadpool(partial(get_auth_manager().get_authorized_dag_ids, user=user))
        snapshot = await run_in_threadpool(database.latest)
        if conn_id is not None and conn_id not in snapshot.connections:
            raise HTTPException(_NOT_FOUND, "There is no connection of type pixverse with this id")
        connection = conn_id or _default_connection(snapshot.connections)
        view = None
        if connection:
            view = await pollers.setdefault(connection, CapacityPoller(connection)).latest()
        return JSONResponse(compose(snapshot, connection, view, readable=readable, find=find, limit=limit))

    # The access check also covers paths and methods that do not exist.
    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def anything_else(request: Request) -> Any:
        raise HTTPException(_NOT_FOUND if request.method == "GET" else _METHOD_NOT_ALLOWED)

    return app


def _sender_of(name: str, media_type: str) -> Callable[[], FileResponse]:
    """Return the function that responds with a file of the page."""

    def send_file() -> FileResponse:
        return FileResponse(_STATIC / name, media_type=media_type, headers=_CACHED)

    return send_file


def _default_connection(connections: list[str]) -> str | None:
    default = PixverseHook.default_conn_name
    return default if default in connections else next(iter(connections), None)
