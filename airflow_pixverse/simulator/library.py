"""The calls that ask for results: one, and lists of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from aiohttp import web
from pydantic import ConfigDict, Field

from airflow_pixverse.simulator.bodies import Body, Text, problem, read_query
from airflow_pixverse.simulator.results import media_path, write
from airflow_pixverse.simulator.state import Job, UnknownJobError

if TYPE_CHECKING:
    from airflow_pixverse.simulator.control import Control

# The types of job that each path answers for, when it is asked for one result. Effects are at videos/ too.
ONE = {"videos": {"video", "image"}, "images": {"image"}, "music": {"music"}, "speech": {"speech"}}
# And when it is asked for a list, with the usual limit.
LISTS = {"videos": ({"video"}, 40), "images": ({"image"}, 50), "music": ({"music", "speech"}, 50)}


class ListQuery(Body):
    """Which part of which account's list is asked for."""

    model_config = ConfigDict(strict=False)

    email: Text | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] | None = None
    offset: Annotated[int, Field(ge=0)] = 0


class Library:
    """
    The handlers.

    :param control: has the service with the jobs, and says how their results are written
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(prefix + "{kind:videos|images|music}{slash:/?}", self.show_list),
            web.get(prefix + "{kind:videos|images|music|speech}/{id}", self.show_one),
        ]

    async def show_one(self, request: web.Request) -> web.Response:
        """Answer ``GET videos/{id}`` and the like; the id must not be percent-encoded."""
        if "%" in request.rel_url.raw_path:
            return problem(400, "id: must not be percent-encoded")
        kind, job_id = request.match_info["kind"], request.match_info["id"]
        job = self._control.service.find(job_id)
        status = self._control.service.status(job)
        if job.type not in ONE[kind] or (job.type == "video" and status in {"QUEUED", "GENERATING"}):
            raise UnknownJobError(f"There is no job {job_id}")
        return web.json_response(self._write(request, job, status))

    async def show_list(self, request: web.Request) -> web.Response:
        """Answer ``GET videos/`` and the like: the newest first, and off-peak jobs among them."""
        types, usual_limit = LISTS[request.match_info["kind"]]
        query = read_query(request, ListQuery)
        limit = usual_limit if query.limit is None else query.limit
        email = self._control.service.account(query.email).email
        jobs = [job for job in self._control.service.jobs() if job.email == email and job.type in types]
        page = jobs[::-1][query.offset : query.offset + limit]
        rows = [self._write(request, job, self._control.service.status(job)) for job in page]
        body: dict[str, Any] = {"data": rows}
        if "video" not in types:
            # As in the documents, it goes on beyond the last page.
            body["next_offset"] = query.offset + limit
        return web.json_response(body)

    def _write(self, request: web.Request, job: Job, status: str) -> dict[str, Any]:
        with_reply_ref = self._control.results_with_reply_ref
        path = media_path(job)
        query = self._control.links.query(path, self._control.service.now)
        return write(job, status, f"{request.url.origin()}{path}{query}", with_reply_ref=with_reply_ref)
