"""PixverseClient: the API over connections that are kept alive, with one retry policy."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from airflow_pixverse import __version__
from airflow_pixverse.api.accounts import ACCOUNTS, FEATURES, Account, Features
from airflow_pixverse.api.address import (
    DEFAULT_BASE_URL,
    checked_base_url,
    host_of,
    is_loopback_http,
    origin,
)
from airflow_pixverse.api.answers import WEB_PAGE, AnswerReader
from airflow_pixverse.api.call import Call, RawFile
from airflow_pixverse.api.deadline import DEFAULT_TIMEOUT
from airflow_pixverse.api.endpoints import is_endpoint
from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseTransientError,
    is_not_accepted,
    unknown_outcome,
)
from airflow_pixverse.api.exchange import Exchange
from airflow_pixverse.api.job_id import FOLDERS, parse_job_id
from airflow_pixverse.api.models import CAPACITY, EXECUTING, Capacity, ExecutingJob
from airflow_pixverse.api.network_errors import Trouble
from airflow_pixverse.api.results import RESULT, RESULTS, JobResult, ResultPage, state_of
from airflow_pixverse.api.sanitizer import Sanitizer
from airflow_pixverse.api.service import Service
from airflow_pixverse.api.submission import Submission, job_ids_of
from airflow_pixverse.api.transport import Transport
from airflow_pixverse.api.uploads import MAX_UPLOAD, Upload, UploadBody, upload_of

if TYPE_CHECKING:
    from airflow_pixverse.api.transport import Answer

DEFAULT_MAX_RETRIES = 3
MAX_TIMEOUT = 24 * 3600.0

_NOT_FOUND = 404
_FIRST_BACKOFF = 0.5
_MAX_DOUBLINGS = 16

_Model = TypeVar("_Model")


class PixverseClient:
    """
    A client of the useapi.net PixVerse API v2.

    Use it as a context manager, or call :meth:`close`. Several threads may call it at once. What it
    returns and raises is harmless, whatever the server sent: see :mod:`airflow_pixverse.api.sanitizer`.

    :param token: API token, sent whole as ``Authorization: Bearer <token>``; it appears nowhere else.
    :param base_url: origin of the service, or the whole base where a gateway serves it under another path
        than ``/v2/pixverse``.
    :param timeout: seconds to wait for the connection, and for each part of the answer; a day at most. Each
        attempt, redirects included, ends within both together (:attr:`call_timeout`).
    :param max_retries: how often a read is repeated after transient trouble; 0 for never.
    :param max_retry_wait: longest sleep between two attempts in seconds, whatever ``Retry-After`` asks for.
    :param proxy: URL of an http(s) proxy; None to follow the environment (``HTTPS_PROXY``, ...). Plain http
        to this machine goes through no proxy.
    :param ca_bundle: file or folder of certificates to trust instead of the default ones.
    :param user_agent: what to send as ``User-Agent``.
    :param label: what to call this client in errors, such as ``connection 'pixverse_default'``.
    :raises ValueError: a parameter cannot be used; the message names it and never shows the token.

    ``identity`` is the same for two clients of one service and token, and tells neither.
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
        host = self._sanitizer.words(host_of(self.base_url))  # people paste tokens into the wrong field
        self._service = Service(host, label)
        self._answers = AnswerReader(self._service, self._sanitizer)
        self._exchange = Exchange(self._transport, self._service, self._sanitizer, base=base, timeout=timeout)

    @property
    def call_timeout(self) -> float:
        """Seconds within which any single attempt ends, whatever the server does (see :class:`Deadline`)."""
        return self._exchange.time_limit

    def __repr__(self) -> str:
        return f"<PixverseClient {self._sanitizer.words(self.base_url)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._transport.close()

    def list_executing(self) -> list[ExecutingJob]:
        """
        Return the jobs being executed by the API (``GET scheduler/``), in the API's order, 10 000 at most.

        Source: "Retrieve the list of videos and images currently being executed by the API".

        :raises PixverseFatalError: asking again will not help (bad token, ...).
        :raises PixverseTransientError: no usable answer, even after the retries.
        """
        return self._retried(lambda: self._read("scheduler/", EXECUTING))

    def get_capacity(self) -> Capacity:
        """
        Return what executes and the room of each account (``GET scheduler/available``).

        Source: "Retrieve the list of videos currently running via the API along with the available account
        capacity".

        :raises PixverseFatalError: asking again will not help (bad token, ...).
        :raises PixverseTransientError: no usable answer, even after the retries.
        """
        return self._retried(lambda: self._read("scheduler/available", CAPACITY))

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
    ) -> Any:
        """
        Send any request of the API, and return the JSON of its answer.

        Only GET is repeated after transient trouble. Anything else is sent once, over a connection of its
        own, and its redirects are refused: after a transient error, the service may have done it or not.

        :param method: HTTP method.
        :param path: path after the base, such as ``scheduler/`` and a job id; it is sent as it is, without
            percent-encoding.
        :param params: query parameters.
        :param json: what to send as JSON body; None for no body.
        :return: the answer as plain JSON; None for an empty one to another method than GET.
        :raises PixverseFatalError: asking again will not help, or it cannot be sent (then nothing was).
        :raises PixverseTransientError: no usable answer, for GET even after the retries.
        """
        method = method.upper()
        call = Call(method, path, params, json)
        if method == "GET":
            return self._retried(lambda: self._answers.value(method, path, self._exchange.send(call)))
        return self._answers.value(method, path, self._sent_once(call))

    def submit(self, endpoint: str, payload: dict[str, Any]) -> Submission:
        """
        Submit a job: POST a payload to an endpoint, once, over a connection of its own.

        Whatever else ends the call, such as a signal, leaves it unknown too whether the job is accepted.

        :param endpoint: such as ``videos/create``; any endpoint under ``videos/``, ``images/``, ``music/`` or
            ``speech/``.
        :param payload: what to send, untouched.
        :raises PixverseNoConnectionError: not accepted: the service has got nothing of it.
        :raises PixverseRateLimitError: not accepted: it is refused for now (429).
        :raises PixverseFatalError: not accepted: it is refused for good, or cannot be sent.
        :raises PixverseUnknownOutcomeError: nobody knows whether it is accepted.
        """
        if not (is_endpoint(endpoint) and isinstance(payload, dict)):
            trouble = Trouble("cannot be sent: the endpoint or the payload cannot be used", fatal=True)
            raise self._service.error("POST", self._sanitizer.words(endpoint), trouble)
        try:
            answer = self._sent_once(Call("POST", endpoint, json=payload))
            value = self._answers.value("POST", endpoint, answer, wanted=job_ids_of)
        except PixverseError as error:
            if is_not_accepted(error):
                raise
            raise unknown_outcome(error) from error
        if job_ids := job_ids_of(value):
            return Submission(job_ids, value)
        no_id = Trouble("answered no id of a job")
        raise unknown_outcome(self._service.error("POST", endpoint, no_id, status=answer.status), value)

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

        It is no paid job, so it is repeated after transient trouble. It may take as long as bytes move.

        :param open_file: opens the file for reading, at each attempt anew.
        :param size: of the file in bytes, 5 GB at most.
        :param content_type: such as ``image/png``.
        :param email: the account that it is uploaded with, which any other may use it of; None for any.
        :raises PixverseFatalError: asking again will not help.
        :raises PixverseTransientError: no usable answer, even after the retries.
        :raises Exception: whatever opening and reading the file ends with.
        """
        path = "files/"
        if not 0 < size <= MAX_UPLOAD:
            trouble = Trouble(f"cannot be sent: a file must have 1 to {MAX_UPLOAD} bytes", fatal=True)
            raise self._service.error("POST", path, trouble)

        def send() -> Upload:
            with open_file() as file:
                body = UploadBody(file, size)
                call = Call("POST", path, _given(email=email), file=RawFile(body, content_type))
                try:
                    answer = self._sent_once(call)
                except PixverseError:
                    if body.failure:
                        raise body.failure from None
                    raise
            if upload := upload_of(self._answers.value("POST", path, answer)):
                return upload
            raise self._service.error("POST", path, Trouble("answered no path of a file"))

        return self._retried(send)

    def get_result(self, job_id: str, kind: str | None = None) -> JobResult:
        """
        Return what has become of a job (``GET videos/{id}`` and its likes).

        It is no error where a job is not finished, which the API says with 404 too, nor where it has failed:
        see :meth:`JobResult.raise_for_failure`.

        :param job_id: id of the job.
        :param kind: ``video``, ``image``, ``music`` or ``speech``; None to take it from the id.
        :raises PixverseFatalError: asking again will not help, or the kind of the job is not known.
        :raises PixverseTransientError: no usable answer, even after the retries.
        """
        if kind is None and (parsed := parse_job_id(job_id)):
            kind = parsed.kind
        path = self._job_path("GET", self._folder(kind, job_id), job_id)
        asked = {"id": job_id, "kind": kind}
        try:
            return self._retried(lambda: self._read(path, RESULT, asked=asked, wanted=state_of))
        except PixverseFatalError as error:
            if error.status != _NOT_FOUND:
                raise
        return RESULT.validate_python({}, context=asked)

    def list_results(
        self, kind: str, *, email: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> ResultPage:
        """
        Return one page of an account's jobs (``GET videos/`` and its likes), those of the website too.

        :param kind: ``video``, ``image``, ``music`` or ``speech``.
        :param email: the account; needed where more than one is configured.
        :param limit: jobs of a page; None for as many as the API gives.
        :param offset: where the page begins: the ``next_offset`` of the page before.
        :raises PixverseFatalError: asking again will not help.
        :raises PixverseTransientError: no usable answer, even after the retries.
        """
        path = f"{self._folder(kind)}/"
        params = _given(email=email, limit=limit, offset=offset)
        return self._retried(lambda: self._read(path, RESULTS, params=params, asked={"kind": kind}))

    def cancel(self, job_id: str) -> bool:
        """
        Stop the API's tracking of a job, which frees its slot (``DELETE scheduler/{id}``).

        PixVerse may go on with it, and it is paid for. The request is sent once.

        :param job_id: id of the job.
        :return: False if no job with this id is executing.
        :raises PixverseFatalError: asking again will not help.
        :raises PixverseTransientError: no usable answer; it is safe to cancel the job again.
        """
        path = self._job_path("DELETE", "scheduler", job_id)
        try:
            self.request("DELETE", path)
        except PixverseFatalError as error:
            # A web page says nothing of a job: the host may not be the service at all.
            if error.status != _NOT_FOUND or error.detail == WEB_PAGE:
                raise
            return False
        return True

    def get_accounts(self) -> list[Account]:
        """
        Return the PixVerse accounts that are configured, 1 000 at most (``GET accounts``).

        :raises PixverseFatalError: asking again will not help.
        :raises PixverseTransientError: no usable answer, even after the retries.
        """
        return self._retried(lambda: self._read("accounts", ACCOUNTS))

    def get_features(self, email: str | None = None) -> Features:
        """
        Return plan and credits of an account (``GET features/``).

        :param email: the account; needed where more than one is configured.
        :raises PixverseFatalError: asking again will not help.
        :raises PixverseTransientError: no usable answer, even after the retries.
        """
        params = _given(email=email)
        return self._retried(lambda: self._read("features/", FEATURES, params=params, asked=params))

    def _retried(self, read: Callable[[], _Model]) -> _Model:
        """Do what may be repeated, again after transient trouble."""
        for attempt in range(self.max_retries):
            try:
                return read()
            except PixverseTransientError as error:
                wait = self._retry_wait(attempt, error.retry_after)
            time.sleep(wait)
        return read()

    def _retry_wait(self, attempt: int, retry_after: float | None) -> float:
        backoff = _FIRST_BACKOFF * 2 ** min(attempt, _MAX_DOUBLINGS) if retry_after is None else retry_after
        # Jitter only adds: the server asked for no less than it said.
        return min(self.max_retry_wait, backoff * random.uniform(1.0, 1.25))  # noqa: S311

    def _read(
        self,
        path: str,
        model: TypeAdapter[_Model],
        *,
        params: Mapping[str, str | int] | None = None,
        asked: Mapping[str, Any] | None = None,
        wanted: Callable[[Any], object] | None = None,
    ) -> _Model:
        """
        Read once.

        :param asked: what was asked for, where the model needs to know it.
        :param wanted: see :meth:`AnswerReader.value`.
        """
        answer = self._exchange.send(Call("GET", path, params))
        value = self._answers.value("GET", path, answer, wanted=wanted)
        try:
            return model.validate_python(value, context=dict(asked or {}))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        shape = self._sanitizer.words(f"{where}: {first['msg']}")
        trouble = Trouble(f"answered a body of another shape ({shape})", wrong_host=True)
        raise self._service.error("GET", path, trouble)

    def _folder(self, kind: str | None, job_id: str = "") -> str:
        if folder := FOLDERS.get(kind or ""):
            return folder
        trouble = Trouble(f"cannot be sent: the kind of the job is none of {', '.join(FOLDERS)}", fatal=True)
        raise self._service.error("GET", self._sanitizer.words(job_id or kind or ""), trouble)

    def _job_path(self, method: str, folder: str, job_id: str) -> str:
        """Return the path of a job, whose id goes into it as it is."""
        if job_id and "/" not in job_id:
            return f"{folder}/{job_id}"
        trouble = Trouble("cannot be sent: that is no id of a job", fatal=True)
        raise self._service.error(method, self._sanitizer.words(f"{folder}/{job_id}"), trouble)

    def _sent_once(self, call: Call) -> Answer:
        """Send what changes something, once, over a connection of its own."""
        # The server may just be closing a connection that was kept alive, and with it lose the request.
        self.close()
        try:
            return self._exchange.send(call)
        finally:
            self.close()


def checked_token(token: str) -> str:
    """Return the token as it is sent, or raise ValueError, which does not show it."""
    token = token.strip()
    if not token:
        raise ValueError("token is empty: give the API token of useapi.net")
    if token.lower().startswith("bearer "):
        raise ValueError("token begins with the word Bearer: give the API token alone")
    # requests would print the whole header in its error.
    if not (token.isascii() and token.isprintable()):
        raise ValueError("token holds control or non-ASCII characters: copy the API token again")
    return token


def _given(**params: str | int | None) -> dict[str, str | int]:
    """Return the parameters that are not None."""
    return {name: value for name, value in params.items() if value is not None}
