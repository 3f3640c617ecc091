"""The routes under ``/simulator/``, which do over HTTP what tests do by calling :class:`Control`."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_pixverse.simulator.bodies import read_fields
from airflow_pixverse.simulator.faults import from_fields
from airflow_pixverse.simulator.fields import FieldError, text

if TYPE_CHECKING:
    from airflow_pixverse.simulator.control import Control

PREFIX = "/simulator/"
SHOWN_REQUESTS = 100


class Admin:
    """
    The handlers, one for each thing that a person can do.

    :param control: what they do it with
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
        """Inject the fault that the body describes, with ``times`` and ``path`` beside its parameters."""
        fields = await read_fields(request)
        times = fields.pop("times", 1)
        path = _optional_text(fields, "path")
        self._control.inject(from_fields(fields), times, path)
        return web.Response(status=204)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """Forget all faults."""
        self._control.clear_faults()
        return web.Response(status=204)

    async def fill(self, request: web.Request) -> web.Response:
        """Fill every slot, for ``seconds`` if the body says so."""
        fields = await read_fields(request)
        seconds = fields.pop("seconds", None)
        _refuse_rest(fields)
        return web.json_response({"ids": self._control.fill(seconds)})

    async def start_job(self, request: web.Request) -> web.Response:
        """Start the job that the body describes in the API's own words; none of them is needed."""
        fields = await read_fields(request)
        email = _optional_text(fields, "email")
        job_type = _optional_text(fields, "type") or "video"
        started = _optional_text(fields, "started")
        reply_url = _optional_text(fields, "replyUrl")
        reply_ref = _optional_text(fields, "replyRef")
        seconds = fields.pop("seconds", None)
        _refuse_rest(fields)
        job_id = self._control.start_job(
            email,
            type=job_type,
            seconds=seconds,
            started=_moment("started", started) if started else None,
            reply_url=reply_url,
            reply_ref=reply_ref,
        )
        return web.json_response({"id": job_id})

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


def _optional_text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.pop(name, None)
    return None if value is None else text(name, value)


def _moment(field: str, value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise FieldError(field, "must be a date and time in ISO 8601") from None


def _refuse_rest(fields: dict[str, Any]) -> None:
    for name in fields:
        raise FieldError(name, "is not a field of this body")
