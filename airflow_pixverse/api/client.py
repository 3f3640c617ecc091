"""PixverseClient: call the API over connections that are kept alive, with one retry policy."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar
from urllib.parse import urlsplit

from airflow_pixverse import __version__
from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseTransientError,
    is_not_accepted,
    unknown_outcome,
)
from airflow_pixverse.api.http.address import host_of, is_loopback_http, origin
from airflow_pixverse.api.http.deadline import DEFAULT_TIMEOUT
from airflow_pixverse.api.http.network_errors import Failure
from airflow_pixverse.api.http.sanitizer import Sanitizer
from airflow_pixverse.api.http.transport import ApiRequest, ApiResponse, RawFile, Transport
from airflow_pixverse.api.kinds import FOLDERS, is_endpoint, split_job_id
from airflow_pixverse.api.response_parser import WEB_PAGE, ResponseParser
from airflow_pixverse.api.sender import Sender
from airflow_pixverse.api.service import (
    DEFAULT_BASE_URL,
    Service,
    checked_base_url,
    checked_token,
    user_of_token,
)
from airflow_pixverse.api.submission import Submission, job_ids_of
from airflow_pixverse.api.uploads import MAX_UPLOAD, Upload, UploadBody, upload_of
from airflow_pixverse.backoff import backoff

# Models are imported by the calls that return them: to build one takes longer than to import a module, and no
# process needs all.
if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from airflow_pixverse.api.accounts import Account, Features
    from airflow_pixverse.api.results import JobResult, ResultPage
    from airflow_pixverse.api.scheduler import Capacity, ExecutingJob

DEFAULT_MAX_RETRIES = 3
MAX_TIMEOUT = 24 * 3600.0  # seconds

_NOT_FOUND = 404
_FIRST_BACKOFF = 0.5  # seconds

_Model = TypeVar("_Model")


class PixverseClient:
    """
    A client of the useapi.net PixVerse API v2.

    Use it as a context manager, or call :meth:`close`. Several threads may call it at once. All values and
    errors are sanitized, whatever the server sent: see ``api.http.sanitizer``.

    :param token: API token, sent whole as ``Authorization: Bearer <token>``; it appears nowhere else.
    :param base_url: origin of the service, or the whole base where a gateway serves it under another path
        than ``/v2/pixverse``.
    :param timeout: seconds to wait for the connection, and for each part of the response; a day at most. Each
        attempt, redirects included, ends within both together (:attr:`call_timeout`).
    :param max_retries: how often a read is repeated after a transient error; 0 for never.
    :param max_retry_wait: longest sleep between two attempts in seconds, whatever ``Retry-After`` asks for.
    :param proxy: URL of an http(s) proxy; None for the environment's (``HTTPS_PROXY``, ...). Plain http
        to this machine goes through no proxy.
    :param ca_bundle: file or folder of certificates to trust instead of the default ones.
    :param user_agent: value of the header ``User-Agent``.
    :param label: name of this client in errors, such as ``connection 'pixverse_default'``.
    :raises ValueError: a parameter cannot be used; the message names it and never shows the token.

    Unless a method says otherwise, it raises :class:`PixverseFatalError` if asking again will not help, and
    :class:`PixverseTransientError` without a usable response, even after the retries. ``identity`` is the
    same for two clients of one service and token, and tells neither.
    """

    def __init__(
        self,
        token: str,
        base_url: str = DEFAULT_BASE_URL,
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        *,
        max_retry_wait: float = 30.0,
        proxy: str | None = None,
        ca_bundle: str | None = None,
        user_agent: str = f"airflow-pixverse/{__version__}",
        label: str = "",
    ) -> None:
        token = checked_token(token)
        if not all(0 < seconds <= MAX_TIMEOUT for seconds in timeout):
            raise ValueError(f"timeout must be more than 0 and at most {MAX_TIMEOUT:.0f} seconds")
        self.base_url = checked_base_url(base_url)
        self.timeout = timeout
        self.max_retries = max_retries
        self.max_retry_wait = max_retry_wait
        self._sanitizer = Sanitizer(token)
        self._user = user_of_token(token)
        self._transport = Transport(
            token,
            user_agent=user_agent,
            timeout=timeout,
            proxy=proxy,
            ca_bundle=ca_bundle,
            direct=is_loopback_http(self.base_url),
        )
        base = self._transport.prepare("GET", self.base_url).url or ""  # as it is sent
        address = origin(self.base_url) + urlsplit(base).path
        self.identity = hashlib.sha256(f"{address}\n{token}".encode()).hexdigest()
        host = self._sanitizer.line(host_of(self.base_url))  # people paste tokens into the wrong field
        self._service = Service(host, label)
        self._parser = ResponseParser(self._service, self._sanitizer)
        self._sender = Sender(self._transport, self._service, self._sanitizer, base=base, timeout=timeout)

    @property
    def call_timeout(self) -> float:
        """Seconds within which any single attempt ends, whatever the server does (see :class:`Deadline`)."""
        return sum(self.timeout)

    def __repr__(self) -> str:
        return f"<PixverseClient {self._sanitizer.line(self.base_url)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._transport.close()

    def list_executing(self) -> list[ExecutingJob]:
        """
        Return the jobs being executed by the API (``GET scheduler/``), in the API's order, 2 000 at most.

        Source: "Retrieve the list of videos and images currently being executed by the API".
        """
        from airflow_pixverse.api.scheduler import EXECUTING

        return self._read("scheduler/", EXECUTING)

    def get_capacity(self) -> Capacity:
        """
        Return what executes and the room of each account (``GET scheduler/available``).

        Source: "Retrieve the list of videos currently running via the API along with the available account
        capacity".
        """
        from airflow_pixverse.api.scheduler import CAPACITY

        return self._read("scheduler/available", CAPACITY)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
    ) -> Any:
        """
        Send any request of the API, and return the JSON of its response.

        Only GET is repeated after transient errors. Any other method is sent once, over a connection of its
        own, and its redirects are refused: after a transient error, the service may have done it or not.

        :param method: HTTP method.
        :param path: path after the base, such as ``scheduler/`` and a job id; it is sent as it is, without
            percent-encoding.
        :param params: query parameters.
        :param json: JSON body; None for no body.
        :return: the response as plain JSON; None for an empty one to another method than GET.
        :raises PixverseFatalError: asking again will not help, or it cannot be sent (then nothing was).
        """
        request = ApiRequest(method.upper(), path, params, json)
        if request.method == "GET":
            return self._retried(lambda: self._parser.parse(request, self._sender.send(request)))
        return self._parser.parse(request, self._send_once(request))

    def submit(self, endpoint: str, payload: dict[str, Any]) -> Submission:
        """
        Submit a job: POST a payload to an endpoint, once, over a connection of its own.

        An interruption of the call, such as a signal, leaves it unknown too whether the job is accepted.

        :param endpoint: such as ``videos/create``; any endpoint under ``videos/``, ``images/``, ``music/`` or
            ``speech/``.
        :param payload: JSON body, sent as it is.
        :raises PixverseNoConnectionError: not accepted: the service has received nothing of it.
        :raises PixverseRateLimitError: not accepted: it is refused for now (429).
        :raises PixverseFatalError: not accepted: it is refused for good, or cannot be sent.
        :raises PixverseUnknownOutcomeError: it is not known whether it is accepted.
        """
        if not (is_endpoint(endpoint) and isinstance(payload, dict)):
            raise self._not_sent("POST", endpoint, "the endpoint or the payload cannot be used")
        request = ApiRequest("POST", endpoint, json=payload)
        try:
            response = self._send_once(request)
            value = self._parser.parse(request, response, wanted=job_ids_of)
        except PixverseError as error:
            if is_not_accepted(error):
                raise
            raise unknown_outcome(error) from error
        if job_ids := job_ids_of(value):
            return Submission(job_ids, value)
        no_id = Failure("answered no id of a job")
        raise unknown_outcome(self._service.error("POST", endpoint, no_id, status=response.status), value)

    def upload(
        self,
        open_file: Callable[[], AbstractContextManager[BinaryIO]],
        *,
        size: int,
        content_type: str,
        email: str | None = None,
    ) -> Upload:
        """
        Upload an image, a video or a sound (``POST files/``), which payloads can then name by its ``path``.

        It is not paid for, so it is repeated after transient errors. It may take as long as bytes move.

        :param open_file: opens the file for reading, again for each attempt.
        :param size: size of the file in bytes, 5 GB at most.
        :param content_type: such as ``image/png``.
        :param email: the account to upload it with, although every account may use it; None for any account.
        :raises Exception: any error of opening and reading the file.
        """
        path = "files/"
        if not 0 < size <= MAX_UPLOAD:
            raise self._not_sent("POST", path, f"a file must have 1 to {MAX_UPLOAD} bytes")

        def send() -> Upload:
            with open_file() as file:
                body = UploadBody(file, size)
                request = ApiRequest("POST", path, {"email": email}, file=RawFile(body, content_type))
                try:
                    response = self._send_once(request)
                except PixverseError:
                    if body.failure:
                        raise body.failure from None
                    raise
            if upload := upload_of(self._parser.parse(request, response)):
                return upload
            raise self._service.error("POST", path, Failure("answered no path of a file"))

        return self._retried(send)

    def get_result(self, job_id: str, kind: str | None = None) -> JobResult:
        """
        Return the state of a job, and its result (``GET videos/{id}``, and of other kinds).

        A job that is not finished, for which the API may answer 404, or that has failed is no error: see
        :meth:`JobResult.raise_for_failure` and :attr:`JobResult.is_found`.

        :param job_id: id of the job.
        :param kind: ``video``, ``image``, ``music`` or ``speech``; None for that of the id.
        :raises PixverseFatalError: asking again will not help, the kind of the job is not known, or the job
            belongs to another user than the token.
        """
        from airflow_pixverse.api.results import RESULT, state_of

        if kind is None and (parsed := split_job_id(job_id)):
            kind = parsed.kind
        path = self._job_path("GET", self._folder(kind, job_id), job_id)
        context = {"id": job_id, "kind": kind}
        return self._read(path, RESULT, context=context, wanted=state_of, missing={})

    def list_results(
        self, kind: str, *, email: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> ResultPage:
        """
        Return a page of an account's jobs, also those of the website (``GET videos/``, and of other kinds).

        :param kind: ``video``, ``image``, ``music`` or ``speech``.
        :param email: the account; needed where more than one is configured.
        :param limit: jobs of a page; None for the API's own limit.
        :param offset: start of the page: the ``next_offset`` of the page before; None for the first page.
        """
        from airflow_pixverse.api.results import RESULTS

        path = f"{self._folder(kind)}/"
        params = {"email": email, "limit": limit, "offset": offset}
        return self._read(path, RESULTS, params=params, context={"kind": kind})

    def cancel(self, job_id: str) -> bool:
        """
        Stop the API's tracking of a job, which frees its slot (``DELETE scheduler/{id}``).

        PixVerse may continue the job, and it is paid for. The request is sent once.

        :param job_id: id of the job.
        :return: False if no job with this id is executing.
        :raises PixverseTransientError: no usable response; it is safe to cancel the job again.
        """
        path = self._job_path("DELETE", "scheduler", job_id)
        try:
            self.request("DELETE", path)
        except PixverseFatalError as error:
            # A web page says nothing about a job: the host may not be the service at all.
            if error.status != _NOT_FOUND or error.detail == WEB_PAGE:
                raise
            return False
        return True

    def get_accounts(self) -> list[Account]:
        """Return the PixVerse accounts that are configured, 1 000 at most (``GET accounts``)."""
        from airflow_pixverse.api.accounts import ACCOUNTS

        return self._read("accounts", ACCOUNTS)

    def get_features(self, email: str | None = None) -> Features:
        """
        Return plan and credits of an account (``GET features/``).

        :param email: the account; needed where more than one is configured.
        """
        from airflow_pixverse.api.accounts import FEATURES

        params = {"email": email}
        return self._read("features/", FEATURES, params=params, context=params)

    def _retried(self, read: Callable[[], _Model]) -> _Model:
        """Read, and repeat it after transient errors."""
        for attempt in range(self.max_retries):
            try:
                return read()
            except PixverseTransientError as error:
                wait = self._retry_wait(attempt, error.retry_after)
            time.sleep(wait)
        return read()

    def _retry_wait(self, attempt: int, retry_after: float | None) -> float:
        pause = retry_after
        if pause is None:
            pause = backoff(attempt + 1, first=_FIRST_BACKOFF, longest=self.max_retry_wait)
        # Jitter only adds: the server asked for no less than it said.
        return min(self.max_retry_wait, pause * random.uniform(1.0, 1.25))  # noqa: S311

    def _read(
        self,
        path: str,
        model: TypeAdapter[_Model],
        *,
        params: Mapping[str, str | int | None] | None = None,
        context: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> _Model:
        """GET a path, repeated after transient errors; see :meth:`ResponseParser.parse_model`."""
        request = ApiRequest("GET", path, params)

        def read() -> _Model:
            response = self._sender.send(request)
            return self._parser.parse_model(model, request, response, context=context or {}, **options)

        return self._retried(read)

    def _folder(self, kind: str | None, job_id: str = "") -> str:
        if folder := FOLDERS.get(kind or ""):
            return folder
        raise self._not_sent(
            "GET", job_id or kind or "", f"the kind of the job is none of {', '.join(FOLDERS)}"
        )

    def _job_path(self, method: str, folder: str, job_id: str) -> str:
        """Return the path of a job, whose id goes into it as it is."""
        job = split_job_id(job_id)
        path = f"{folder}/{job_id}"
        if not job_id or "/" in job_id:
            raise self._not_sent(method, path, "that is no id of a job")
        if job and self._user and job.user.isdecimal() and job.user != self._user:
            # To this token, the service would always answer 404.
            raise self._not_sent(
                method,
                path,
                f"the job belongs to user {job.user} of useapi.net, and the API token to user {self._user}. "
                f"Use a connection with a token of user {job.user}",
            )
        return path

    def _not_sent(self, method: str, path: str, reason: str) -> PixverseError:
        """Return the error of a request that cannot be sent."""
        failure = Failure(f"cannot be sent: {reason}", fatal=True)
        return self._service.error(method, self._sanitizer.line(path), failure)

    def _send_once(self, request: ApiRequest) -> ApiResponse:
        """Send a request that changes something, once, over a connection of its own."""
        # The server may just be closing a connection that was kept alive, and lose the request with it.
        self.close()
        try:
            return self._sender.send(request)
        finally:
            self.close()
