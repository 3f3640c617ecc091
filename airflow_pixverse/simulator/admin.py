"""The routes under ``/simulator/``: over HTTP, what tests do by calling :class:`Control`."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_pixverse.simulator.admin_bodies import (
    AccountBody,
    EndBody,
    FateBody,
    FaultBody,
    FillBody,
    HeldQuery,
    JobBody,
    LinksBody,
)
from airflow_pixverse.simulator.bodies import problem, read_body, read_query
from airflow_pixverse.simulator.faults import from_fields

if TYPE_CHECKING:
    from airflow_pixverse.simulator.accounts import Changes
    from airflow_pixverse.simulator.control import Control
    from airflow_pixverse.simulator.state import Job

PREFIX = "/simulator/"
SHOWN = 100


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
            web.get(PREFIX + "jobs", self.show_submitted),
            web.post(PREFIX + "jobs", self.start_job),
            web.delete(PREFIX + "jobs", self.end_all_jobs),
            web.delete(PREFIX + "jobs/{id}", self.end_job),
            web.post(PREFIX + "accounts", self.change_account),
            web.post(PREFIX + "fates", self.set_fate),
            web.delete(PREFIX + "fates", self.clear_fates),
            web.get(PREFIX + "requests", self.show_requests),
            web.get(PREFIX + "uploads", self.show_uploads),
            web.get(PREFIX + "media/{id}", self.show_media),
            web.post(PREFIX + "links", self.set_links),
            web.delete(PREFIX + "links", self.expire_links),
            web.get(PREFIX + "held", self.show_held),
            web.delete(PREFIX + "held", self.release),
        ]

    async def inject(self, request: web.Request) -> web.Response:
        """Inject the fault that the body describes."""
        body = await read_body(request, FaultBody)
        fault = from_fields(body.fault, body.model_extra or {})
        self._control.inject(fault, body.times, body.path, method=body.method, share=body.share)
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
        """End the job, as the body says."""
        self._control.end_job(request.match_info["id"], **dict(await read_body(request, EndBody)))
        return web.Response(status=204)

    async def end_all_jobs(self, _request: web.Request) -> web.Response:
        """End every job."""
        return web.json_response({"ended": self._control.end_all_jobs()})

    async def show_submitted(self, request: web.Request) -> web.Response:
        """Show how many jobs were submitted, with these fields in their payload, and the last of them."""
        jobs = self._control.submitted(**request.query)
        shown = [self._describe(job) for job in jobs[-SHOWN:]]
        return web.json_response({"count": len(jobs), "jobs": shown})

    async def change_account(self, request: web.Request) -> web.Response:
        """Change the account as the body says."""
        body = await read_body(request, AccountBody)
        changes: Changes = {}
        if "max_jobs" in body.model_fields_set:
            changes["max_jobs"] = body.max_jobs
        if "pending_error" in body.model_fields_set:
            changes["pending_error"] = body.pending_error
        if "credits" in body.model_fields_set:
            changes["credits"] = body.credits
        if body.expires is not None:
            changes["expires"] = body.expires.timestamp()
        self._control.service.configure(body.email, **changes)
        return web.Response(status=204)

    async def set_fate(self, request: web.Request) -> web.Response:
        """Decide what becomes of the jobs that the body describes."""
        body = await read_body(request, FateBody)
        self._control.set_fate(body.prompt, body.fate)
        return web.Response(status=204)

    async def clear_fates(self, _request: web.Request) -> web.Response:
        """Decide for no prompt any more."""
        self._control.clear_fates()
        return web.Response(status=204)

    async def show_requests(self, _request: web.Request) -> web.Response:
        """Show how many requests there were, and the last of them."""
        shown = [dataclasses.asdict(logged) for logged in self._control.requests[-SHOWN:]]
        return web.json_response({"count": self._control.request_count, "requests": shown})

    async def show_uploads(self, _request: web.Request) -> web.Response:
        """Show how many files were uploaded, and the last of them."""
        shown = [dataclasses.asdict(upload) for upload in self._control.uploads[-SHOWN:]]
        return web.json_response({"count": self._control.files.count, "uploads": shown})

    async def show_media(self, request: web.Request) -> web.Response:
        """Show what a download of the job's file must come to."""
        job_id = request.match_info["id"]
        sha256 = await asyncio.to_thread(self._control.media_sha256, job_id)
        return web.json_response({"size": self._control.media_size(job_id), "sha256": sha256})

    async def set_links(self, request: web.Request) -> web.Response:
        """Decide for how long the URLs of results can be used."""
        self._control.link_seconds = (await read_body(request, LinksBody)).seconds
        return web.Response(status=204)

    async def expire_links(self, _request: web.Request) -> web.Response:
        """Let all signed URLs expire."""
        self._control.expire_links()
        return web.Response(status=204)

    async def show_held(self, request: web.Request) -> web.Response:
        """Show how many answers are held, once there are as many as the query says, if it says so."""
        query = read_query(request, HeldQuery)
        if query.count is not None:
            reached = asyncio.wrap_future(self._control.holds.when(query.count))
            try:
                await asyncio.wait_for(reached, query.timeout)
            except TimeoutError:
                return problem(408, f"count: {self._control.held} are held after {query.timeout} s")
        return web.json_response({"held": self._control.held})

    async def release(self, _request: web.Request) -> web.Response:
        """Let what is held go on."""
        return web.json_response({"released": self._control.release()})

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
