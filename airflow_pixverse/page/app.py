"""The routes of the page: who may ask, and for what. There are no others, so no docs and no openapi.json."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse, JSONResponse
from starlette.concurrency import run_in_threadpool

from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.page.capacity import CapacityViews
from airflow_pixverse.page.compose import compose
from airflow_pixverse.page.database import DatabaseView
from airflow_pixverse.page.security import SecurityHeaders

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_STATIC = Path(__file__).with_name("static")
_DEFAULT_LIMIT = 100
_HIGHEST_LIMIT = 1000
_LONGEST_ID = 250
_NOT_FOUND = 404
_METHOD_NOT_ALLOWED = 405
# Long enough that nobody loads them at each visit; a new version has another URL.
_CACHED = {"Cache-Control": "private, max-age=3600"}


class _Application(FastAPI):
    """All its answers have the headers: those of middleware are not in the answer to an error of ours."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await SecurityHeaders(super().__call__)(scope, receive, send)


def new_app() -> FastAPI:
    """Return the application that Airflow mounts, which inherits nothing from Airflow's own."""
    app = _Application(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
    )
    database = DatabaseView()
    views = CapacityViews()

    @app.get("/page.js")
    def script() -> FileResponse:
        return FileResponse(_STATIC / "page.js", media_type="text/javascript", headers=_CACHED)

    @app.get("/page.css")
    def style() -> FileResponse:
        return FileResponse(_STATIC / "page.css", media_type="text/css", headers=_CACHED)

    @app.get("/api/capacity")
    async def capacity(
        user: GetUserDep,
        conn_id: Annotated[str | None, Query(max_length=_LONGEST_ID)] = None,
        find: Annotated[str, Query(max_length=_LONGEST_ID)] = "",
        limit: Annotated[int, Query(ge=1, le=_HIGHEST_LIMIT)] = _DEFAULT_LIMIT,
    ) -> JSONResponse:
        readable = await run_in_threadpool(partial(get_auth_manager().get_authorized_dag_ids, user=user))
        seen = await run_in_threadpool(database.look)
        if conn_id is not None and conn_id not in seen.connections:
            raise HTTPException(_NOT_FOUND, "There is no connection of type pixverse with this id")
        connection = conn_id or _first_to_show(seen.connections)
        view = await views.latest(connection) if connection else None
        answer = compose(seen, connection, view, readable=readable, find=find, limit=limit)
        return JSONResponse(answer)

    # Whoever may not see the page is not told either what there is not.
    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def anything_else(request: Request) -> Any:
        raise HTTPException(_NOT_FOUND if request.method == "GET" else _METHOD_NOT_ALLOWED)

    return app


def _first_to_show(connections: list[str]) -> str | None:
    default = PixverseHook.default_conn_name
    return default if default in connections else next(iter(connections), None)
