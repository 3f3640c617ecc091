"""
The routes under ``/simulator/``: over HTTP, the methods of :class:`Control`.

A route that calls a method takes the fields of its body from the method's signature.
"""

import asyncio
import dataclasses
import inspect
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, NamedTuple

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel

from airflow_pixverse.simulator.control import Control
from airflow_pixverse.simulator.errors import Body, Count, problem, read_body, read_query
from airflow_pixverse.simulator.faults import make_fault
from airflow_pixverse.simulator.jobs import Job

PREFIX = "/simulator/"
# How many of the last entries of a log are shown.
SHOWN = 100

# The type and the default of each field of a body; "..." stands for no default.
Fields = dict[str, tuple[Any, Any]]


class Action(NamedTuple):
    """
    A route that calls a method.

    :param path: behind ``/simulator/``; ``{name}`` is a parameter of the method, the body has the others
    :param result: the key of the method's result in the answer; None for an answer without a body
    """

    method: str
    path: str
    call: Callable[..., Any]
    result: str | None = None


def _set_link_seconds(control: Control, seconds: float | None) -> None:
    control.link_seconds = seconds


ACTIONS = (
    Action("DELETE", "faults", Control.clear_faults),
    Action("POST", "fill", Control.fill, "ids"),
    Action("POST", "jobs", Control.start_job, "id"),
    Action("DELETE", "jobs", Control.end_all_jobs, "ended"),
    Action("DELETE", "jobs/{job_id}", Control.end_job),
    Action("POST", "fates", Control.set_fate),
    Action("DELETE", "fates", Control.clear_fates),
    Action("POST", "links", _set_link_seconds),
    Action("DELETE", "links", Control.expire_links),
    Action("DELETE", "held", Control.release, "released"),
)
# The methods that change an account, by the field of the body.
SETTERS: dict[str, Callable[[Control, str, Any], None]] = {
    "max_jobs": Control.set_max_jobs,
    "pending_error": Control.set_pending_error,
    "credits": Control.set_credits,
    "expires": Control.set_expiry,
}


class HeldQuery(Body):
    """The number of answers that must be held (0 means none), and for how many seconds to wait at most."""

    model_config = ConfigDict(strict=False)

    count: Count | None = None
    timeout: Annotated[float, Field(ge=0, le=600)] = 60


class Admin:
    """The handlers, which call the methods of a :class:`Control`."""

    def __init__(self, control: Control) -> None:
        self._control = control
        changes: Fields = {"email": (str, ...)}
        for name, setter in SETTERS.items():
            _email, (value_type, _default) = _parameters(setter).values()
            changes[name] = (value_type, None)
        self._change = _model("change", changes)
        injection = _parameters(Control.inject) | {"fault": (str, "")}
        self._injection = _model("injection", injection, extra="allow")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            *(web.route(one.method, PREFIX + one.path, self._handler(one)) for one in ACTIONS),
            web.post(PREFIX + "faults", self._inject),
            web.post(PREFIX + "accounts", self._change_account),
            web.get(PREFIX + "jobs", self._show_submitted),
            web.get(PREFIX + "requests", self._show_requests),
            web.get(PREFIX + "uploads", self._show_uploads),
            web.get(PREFIX + "media/{id}", self._show_media),
            web.get(PREFIX + "held", self._show_held),
        ]

    def _handler(self, action: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
        parameters = _parameters(action.call).items()
        in_body = {name: field for name, field in parameters if f"{{{name}}}" not in action.path}
        model = _model(action.call.__name__, in_body)

        async def handle(request: web.Request) -> web.Response:
            fields = dict(await read_body(request, model)) if in_body else {}
            result = action.call(self._control, **request.match_info, **fields)
            return web.json_response({action.result: result}) if action.result else web.Response(status=204)

        return handle

    async def _inject(self, request: web.Request) -> web.Response:
        """Inject the fault that the body describes: its name and parameters, and those of the injection."""
        body = await read_body(request, self._injection)
        parameters = body.model_extra or {}
        injection = {name: value for name, value in body if name not in parameters}
        self._control.inject(make_fault(injection.pop("fault"), parameters), **injection)
        return web.Response(status=204)

    async def _change_account(self, request: web.Request) -> web.Response:
        body = await read_body(request, self._change)
        changes = {name: value for name, value in body if name in body.model_fields_set}
        email = self._control.service.account(changes.pop("email")).email
        for name, value in changes.items():
            SETTERS[name](self._control, email, value)
        return web.Response(status=204)

    async def _show_submitted(self, request: web.Request) -> web.Response:
        """Show how many jobs were submitted with these fields in their payload, and the last of them."""
        jobs = self._control.submitted(**request.query)
        shown = [self._describe(job) for job in jobs[-SHOWN:]]
        return web.json_response({"count": len(jobs), "jobs": shown})

    async def _show_requests(self, _request: web.Request) -> web.Response:
        shown = [dataclasses.asdict(logged) for logged in self._control.requests[-SHOWN:]]
        return web.json_response({"count": self._control.request_count, "requests": shown})

    async def _show_uploads(self, _request: web.Request) -> web.Response:
        shown = [dataclasses.asdict(upload) for upload in self._control.uploads[-SHOWN:]]
        return web.json_response({"count": self._control.files.count, "uploads": shown})

    async def _show_media(self, request: web.Request) -> web.Response:
        """Show the size and the SHA-256 that a download of the job's file must have."""
        job_id = request.match_info["id"]
        sha256 = await asyncio.to_thread(self._control.media_sha256, job_id)
        return web.json_response({"size": self._control.media_size(job_id), "sha256": sha256})

    async def _show_held(self, request: web.Request) -> web.Response:
        """Show how many answers are held, once there are as many as the query asks for."""
        query = read_query(request, HeldQuery)
        if query.count is not None:
            reached = asyncio.wrap_future(self._control.holds.when(query.count))
            try:
                await asyncio.wait_for(reached, query.timeout)
            except TimeoutError:
                return problem(408, f"count: {self._control.held} are held after {query.timeout} s")
        return web.json_response({"held": self._control.held})

    def _describe(self, job: Job) -> dict[str, Any]:
        return {
            "id": job.id,
            "type": job.type,
            "email": job.email,
            "endpoint": job.endpoint,
            "payload": job.payload,
            "status": self._control.service.status(job),
            "tracked": job.tracked,
        }


def _parameters(call: Callable[..., Any]) -> Fields:
    """Return the type and the default of each parameter of a method."""
    _, *parameters = inspect.signature(call, eval_str=True).parameters.values()
    return {
        one.name: (one.annotation, ... if one.default is one.empty else one.default) for one in parameters
    }


def _model(name: str, fields: Fields, extra: Literal["forbid", "allow"] = "forbid") -> type[BaseModel]:
    """Return a model of a body with these fields; keys are written ``likeThis``."""
    config = ConfigDict(
        alias_generator=to_camel, strict=True, extra=extra, str_min_length=1, str_max_length=1024
    )
    return create_model(name, __config__=config, **fields)  # type: ignore[call-overload, no-any-return]
