"""The calls that submit jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from aiohttp import web
from pydantic import Field
from pydantic_core import from_json

from airflow_pixverse.simulator.bodies import Body, Text, read_body
from airflow_pixverse.simulator.endpoints import SUBMIT, answer, made_by
from airflow_pixverse.simulator.service import MAX_SEED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_pixverse.simulator.control import Control


class SubmitBody(Body):
    """What the simulator looks at when a job is submitted; all other fields are accepted as they are."""

    email: Text | None = None
    max_jobs: Annotated[int, Field(ge=1, le=8)] | None = None
    reply_url: Text | None = None
    reply_ref: Text | None = None
    prompt: str | None = None
    seed: Annotated[int, Field(ge=1, le=MAX_SEED)] | None = None
    off_peak_mode: Annotated[bool | None, Field(alias="off_peak_mode")] = None
    template_id: Annotated[int | str | None, Field(alias="template_id")] = None
    create_count: Annotated[int, Field(alias="create_count", ge=1, le=4)] = 1


class Submits:
    """
    The handlers, one for each path.

    :param control: has the service that takes the jobs
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Return the routes; each may be written with or without a slash at the end."""
        return [web.post(prefix + endpoint + "{slash:/?}", self._handler(endpoint)) for endpoint in SUBMIT]

    def _handler(self, endpoint: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def submit(request: web.Request) -> web.Response:
            body = await read_body(request, SubmitBody)
            job_type = made_by(endpoint, body.template_id)
            accepted = self._control.service.submit(
                job_type,
                body.email,
                count=body.create_count if endpoint == "images/create" else 1,
                max_jobs=body.max_jobs,
                endpoint=endpoint,
                payload=from_json(await request.read() or b"{}"),
                reply_url=body.reply_url,
                reply_ref=body.reply_ref,
            )
            return web.json_response(answer(endpoint, job_type, accepted))

        return submit
