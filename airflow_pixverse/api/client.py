"""PixverseClient: the API over connections that are kept alive, with one retry policy."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from airflow_pixverse import __version__
from airflow_pixverse.api.address import (
    DEFAULT_BASE_URL,
    checked_base_url,
    host_of,
    is_loopback_http,
    origin,
)
from airflow_pixverse.api.answers import AnswerReader
from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseTransientError,
    is_not_accepted,
    unknown_outcome,
)
from airflow_pixverse.api.exchange import Exchange
from airflow_pixverse.api.models import CAPACITY, EXECUTING, Capacity, ExecutingJob
from airflow_pixverse.api.network_errors import Trouble
from airflow_pixverse.api.sanitizer import Sanitizer
from airflow_pixverse.api.service import Service
from airflow_pixverse.api.submission import Submission, is_endpoint, job_ids_of
from airflow_pixverse.api.transport import Transport

if TYPE_CHECKING:
    from airflow_pixverse.api.transport import Answer

DEFAULT_TIMEOUT = (10.0, 30.0)
DEFAULT_MAX_RETRIES = 3
MAX_TIMEOUT = 24 * 3600.0

_FIRST_BACKOFF = 0.5
_MAX_DOUBLINGS = 16

_Model = TypeVar("_Model")


class PixverseClient:
    """
    A client of the useapi.net PixVerse API v2.

    Use it as a context manager, or call :meth:`close`. It is not meant to be shared between threads. What it
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
        if method == "GET":
            return self._retried(
                lambda: self._answers.value(method, path, self._exchange.send(method, path, params, json))
            )
        return self._answers.value(method, path, self._sent_once(method, path, params, json))

    def submit(self, endpoint: str, payload: dict[str, Any]) -> Submission:
        """
        Submit a job: POST a payload to an endpoint, once, over a connection of its own.

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
            answer = self._sent_once("POST", endpoint, json=payload)
            value = self._answers.value("POST", endpoint, answer, wanted=job_ids_of)
        except PixverseError as error:
            if is_not_accepted(error):
                raise
            raise unknown_outcome(error) from error
        if job_ids := job_ids_of(value):
            return Submission(job_ids, value)
        no_id = Trouble("answered no id of a job")
        raise unknown_outcome(self._service.error("POST", endpoint, no_id, status=answer.status), value)

    def _retried(self, read: Callable[[], _Model]) -> _Model:
        """Read, again after transient trouble: reads change nothing, so repeating them is safe."""
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
    ) -> _Model:
        """Read once."""
        value = self._answers.value("GET", path, self._exchange.send("GET", path, params))
        try:
            return model.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        shape = self._sanitizer.words(f"{where}: {first['msg']}")
        trouble = Trouble(f"answered a body of another shape ({shape})", wrong_host=True)
        raise self._service.error("GET", path, trouble)

    def _sent_once(
        self, method: str, path: str, params: Mapping[str, str | int] | None = None, json: Any = None
    ) -> Answer:
        """Send what changes something, once, over a connection of its own."""
        # The server may just be closing a connection that was kept alive, and with it lose the request.
        self.close()
        try:
            return self._exchange.send(method, path, params, json)
        finally:
            self.close()


def checked_token(token: str) -> str:
    """Return the token as it is sent, or raise ValueError, which does not show it."""
    token = token.strip()
    if not token:
        raise ValueError("token is empty: give the API token of useapi.net")
    # requests would print the whole header in its error.
    if not (token.isascii() and token.isprintable()):
        raise ValueError("token holds control or non-ASCII characters: copy the API token again")
    return token
