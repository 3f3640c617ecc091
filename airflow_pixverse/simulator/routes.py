"""The API's own routes, under ``/v2/pixverse``, and the media server that the URLs of results lead to."""

import hashlib
import mimetypes
import re
from functools import partial
from typing import Annotated, Any

from aiohttp import web
from pydantic import ConfigDict, Field
from pydantic_core import from_json

from airflow_pixverse.simulator.control import Control
from airflow_pixverse.simulator.errors import (
    AccountError,
    Body,
    Count,
    FieldError,
    Text,
    UnknownJobError,
    problem,
    read_body,
    read_query,
)
from airflow_pixverse.simulator.faults import IGNORES_RANGE
from airflow_pixverse.simulator.jobs import Job
from airflow_pixverse.simulator.kinds import (
    KINDS,
    PAGE_LENGTHS,
    SUBMIT,
    kind_made,
    media_path,
    utc,
    write_accepted,
    write_result,
)
from airflow_pixverse.simulator.log import Upload
from airflow_pixverse.simulator.media import MediaFile
from airflow_pixverse.simulator.schema import find_schema
from airflow_pixverse.simulator.service import MAX_SEED
from airflow_pixverse.simulator.streams import BLOCK, Streamed

PREFIX = "/v2/pixverse/"
SECURED = "…secured…"
# The credits shown for accounts whose credits are never used up.
PLENTY = 15_000
SESSION_SECONDS = 24 * 3600
# The documents say 5 GB; this is the stricter way to read it.
MAX_UPLOAD_BYTES = 5_000_000_000
UPLOADED_TYPES = ("image/", "video/", "audio/")
# Other ranges may be ignored, says RFC 9110.
RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


class SubmitBody(Body):
    """The fields of a submit that the simulator reads; it accepts all other fields as they are."""

    email: Text | None = None
    max_jobs: Annotated[int, Field(ge=1, le=8)] | None = None
    reply_url: Text | None = None
    reply_ref: Text | None = None
    prompt: str | None = None
    seed: Annotated[int, Field(ge=1, le=MAX_SEED)] | None = None
    off_peak_mode: Annotated[bool | None, Field(alias="off_peak_mode")] = None
    template_id: Annotated[int | str | None, Field(alias="template_id")] = None
    create_count: Annotated[int, Field(alias="create_count", ge=1, le=4)] = 1


class AccountQuery(Body):
    """The account that a request is about."""

    email: Text | None = None


class ListQuery(AccountQuery):
    """The account and the part of its list."""

    model_config = ConfigDict(strict=False)

    limit: Annotated[int, Field(ge=1, le=1000)] | None = None
    offset: Count = 0


class Routes:
    """The routes and their handlers, which answer for the service of a :class:`Control`."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._service = control.service

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; those of no single job or file may end with a slash."""
        slash = "{slash:/?}"
        lists = {kind.listed_at for kind in KINDS.values()}
        folders = {folder for kind in KINDS.values() for folder in kind.found_at}
        return [
            web.get(f"{PREFIX}scheduler{slash}", self._list_executing),
            web.get(f"{PREFIX}scheduler/available{slash}", self._get_capacity),
            web.delete(PREFIX + "scheduler/{id}", self._cancel),
            *(web.post(PREFIX + path + slash, partial(self._submit, path)) for path in SUBMIT),
            *(web.get(PREFIX + folder + slash, partial(self._list_results, folder)) for folder in lists),
            *(web.get(f"{PREFIX}{folder}/{{id}}", partial(self._get_result, folder)) for folder in folders),
            web.get(f"{PREFIX}accounts{slash}", self._list_accounts),
            web.get(f"{PREFIX}features{slash}", self._get_features),
            web.post(f"{PREFIX}files{slash}", self._upload),
            web.get("/media/{number:[0-9]{1,18}}.{suffix}", self._download),
        ]

    async def _list_executing(self, _request: web.Request) -> web.Response:
        return web.json_response(find_schema(self._control.schema).executing(self._service.snapshot()))

    async def _get_capacity(self, _request: web.Request) -> web.Response:
        return web.json_response(find_schema(self._control.schema).capacity(self._service.snapshot()))

    async def _cancel(self, request: web.Request) -> web.Response:
        self._service.cancel(_job_id(request))
        return web.Response(status=204)

    async def _submit(self, endpoint: str, request: web.Request) -> web.Response:
        body = await read_body(request, SubmitBody)
        job_type = kind_made(endpoint, body.template_id)
        accepted = self._service.submit(
            job_type,
            body.email,
            count=body.create_count if endpoint == "images/create" else 1,
            max_jobs=body.max_jobs,
            endpoint=endpoint,
            payload=from_json(await request.read() or b"{}"),
            reply_url=body.reply_url,
            reply_ref=body.reply_ref,
        )
        return web.json_response(write_accepted(endpoint, job_type, accepted))

    async def _get_result(self, folder: str, request: web.Request) -> web.Response:
        job_id = _job_id(request)
        job = self._service.find(job_id)
        status = self._service.status(job)
        kind = KINDS.get(job.type)
        if not kind or folder not in kind.found_at or not self._service.is_own(job):
            raise UnknownJobError(f"There is no job {job_id}")
        if kind.is_hidden and status in {"QUEUED", "GENERATING"}:
            raise UnknownJobError(f"There is no job {job_id}")
        return web.json_response(self._write_result(request, job, status))

    async def _list_results(self, folder: str, request: web.Request) -> web.Response:
        """List the jobs of an account: the newest first, and off-peak jobs among them."""
        query = read_query(request, ListQuery)
        limit = PAGE_LENGTHS[folder] if query.limit is None else query.limit
        email = self._service.account(query.email).email
        types = {name for name, kind in KINDS.items() if kind.listed_at == folder}
        jobs = [job for job in self._service.jobs() if job.email == email and job.type in types]
        page = jobs[::-1][query.offset : query.offset + limit]
        rows = [self._write_result(request, job, self._service.status(job)) for job in page]
        # As in the documents, the offset goes on beyond the last page, and videos have none.
        more = {} if folder == "videos" else {"next_offset": query.offset + limit}
        return web.json_response({"data": rows} | more)

    def _write_result(self, request: web.Request, job: Job, status: str) -> dict[str, Any]:
        path = media_path(job)
        url = f"{request.url.origin()}{path}{self._control.links.query(path, self._service.now)}"
        return write_result(job, status, url, with_reply_ref=self._control.results_with_reply_ref)

    async def _list_accounts(self, _request: web.Request) -> web.Response:
        """List the accounts. This does not ask PixVerse, so it works despite a pending error."""
        now, _, accounts = self._service.snapshot()
        jwt = {"ExpireTimeUTC": utc(now + SESSION_SECONDS), "token": SECURED}
        described = {}
        for account in accounts:
            error = {} if account.pending_error is None else {"error": account.pending_error}
            settings = {"email": account.email, "password": SECURED, "maxJobs": account.max_jobs, "jwt": jwt}
            described[account.email] = settings | error
        return web.json_response(described)

    async def _get_features(self, request: web.Request) -> web.Response:
        account = self._service.account(read_query(request, AccountQuery).email)
        if account.pending_error is not None:
            raise AccountError(f"{account.email}: {account.pending_error}")
        expires = utc(account.expires)
        return web.json_response(
            {
                "plan_name": "Premium - Monthly",
                "current_plan_type": 2,
                "credit_daily": 0,
                "credit_monthly": PLENTY if account.credits is None else account.credits,
                "credit_package": 0,
                "expired_date": expires,
                "billing_renewal_date": expires,
                "gen_simultaneously": account.max_jobs,
                "off_peak": 1,
            }
        )

    async def _upload(self, request: web.Request) -> web.Response:
        """Take a file, the body, which is hashed and thrown away while it arrives."""
        email = read_query(request, AccountQuery).email
        if email is not None:
            email = self._service.account(email).email
        content_type = request.content_type
        if not content_type.startswith(UPLOADED_TYPES):
            raise FieldError(
                "Content-Type", "must be that of an image, a video or a sound, such as image/png"
            )
        size, digest = 0, hashlib.sha256()
        if (request.content_length or 0) <= MAX_UPLOAD_BYTES:
            async for piece in request.content.iter_chunked(BLOCK):
                size += len(piece)
                digest.update(piece)
                if size > MAX_UPLOAD_BYTES:
                    break
        if max(size, request.content_length or 0) > MAX_UPLOAD_BYTES:
            return problem(413, f"body: must not have more than {MAX_UPLOAD_BYTES} bytes")
        if not size:
            raise FieldError("body", "must be the file, and not be empty")
        number = self._control.files.count + 1
        name = f"{number}{mimetypes.guess_extension(content_type, strict=False) or '.bin'}"
        path = f"upload/{name}"
        url = f"{request.url.origin()}/{path}"
        self._control.files.add(Upload(number, path, url, content_type, size, digest.hexdigest(), email))
        described = {"path": path, "url": url}
        if not content_type.startswith("image/"):
            return web.json_response(described)
        return web.json_response({"result": [described | {"id": number, "size": size, "name": name}]})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """Answer with a result's file, or the part of it that the request asks for; it takes no token."""
        self._control.links.check(request.path, request.query, self._service.now)
        file = self._control.media_file(int(request.match_info["number"]), request.match_info["suffix"])
        headers = {"Content-Type": file.content_type, "ETag": file.etag, "Accept-Ranges": "bytes"}
        start, stop = 0, file.size
        if wanted := _wanted_range(request, file):
            start, last = wanted
            stop = min(stop, last + 1)
            if start >= stop:
                response = problem(416, "Range: begins behind the end of the file")
                response.headers["Content-Range"] = f"bytes */{file.size}"
                return response
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
        return Streamed(
            stop - start,
            lambda begin, end: file.read(start + begin, start + end),
            status=206 if wanted else 200,
            headers=headers,
        )


def _job_id(request: web.Request) -> str:
    """Return the id of a job from the path, where it must be written as it is, as the service demands."""
    if "%" in request.rel_url.raw_path:
        raise FieldError("id", "must not be percent-encoded")
    return request.match_info["id"]


def _wanted_range(request: web.Request, file: MediaFile) -> tuple[int, int] | None:
    """Return the first and the last position that the request asks for; None for the whole file."""
    match = RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or IGNORES_RANGE in request or request.headers.get("If-Range", file.etag) != file.etag:
        return None
    first, last = int(match[1]), int(match[2]) if match[2] else None
    if last is None:
        return first, file.size - 1
    return None if last < first else (first, last)
