"""PixverseClient: the API over connections that are kept alive, with one retry policy."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urljoin, urlsplit

from pydantic import TypeAdapter, ValidationError

from airflow_pixverse import __version__
from airflow_pixverse.api.address import (
    DEFAULT_BASE_URL,
    checked_base_url,
    host_of,
    is_loopback_http,
    is_plain,
    origin,
)
from airflow_pixverse.api.answers import AnswerReader
from airflow_pixverse.api.deadline import Deadline
from airflow_pixverse.api.errors import PixverseError, PixverseTransientError
from airflow_pixverse.api.models import CAPACITY, EXECUTING, Capacity, ExecutingJob
from airflow_pixverse.api.network_errors import Trouble, explain
from airflow_pixverse.api.sanitizer import Sanitizer
from airflow_pixverse.api.service import Service
from airflow_pixverse.api.transport import Answer, Transport

if TYPE_CHECKING:
    from requests import PreparedRequest

DEFAULT_TIMEOUT = (10.0, 30.0)
DEFAULT_MAX_RETRIES = 3
MAX_TIMEOUT = 24 * 3600.0

_FIRST_BACKOFF = 0.5
_MAX_DOUBLINGS = 16
_MAX_REDIRECTS = 5

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
        self._base = self._transport.prepare("GET", self.base_url).url or ""  # as it is sent
        self._origin = origin(self.base_url)
        address = self._origin + urlsplit(self._base).path
        self.identity = hashlib.sha256(f"{address}\n{token}".encode()).hexdigest()
        host = self._sanitizer.words(host_of(self.base_url))  # people paste tokens into the wrong field
        self._service = Service(host, label)
        self._answers = AnswerReader(self._service, self._sanitizer)

    @property
    def call_timeout(self) -> float:
        """Seconds within which any single attempt ends, whatever the server does (see :class:`Deadline`)."""
        return sum(self.timeout)

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
            return self._retried(lambda: self._attempt(method, path, params, json))
        # The server may just be closing a connection that was kept alive, and with it lose the request.
        self.close()
        try:
            return self._attempt(method, path, params, json)
        finally:
            self.close()

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

    def _read(self, path: str, model: TypeAdapter[_Model]) -> _Model:
        value = self._attempt("GET", path)
        try:
            return model.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        shape = self._sanitizer.words(f"{where}: {first['msg']}")
        trouble = Trouble(f"answered a body of another shape ({shape})", wrong_host=True)
        raise self._service.error("GET", path, trouble)

    def _attempt(
        self, method: str, path: str, params: Mapping[str, str | int] | None = None, json: Any = None
    ) -> Any:
        """Send a request once, and return the JSON of its answer."""
        request = self._prepared(method, path, params, json)
        deadline = Deadline(self.call_timeout)
        trouble: Trouble | None = None
        try:
            with deadline:
                answer = self._final_answer(request, path)
        except PixverseError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the libraries stumble over, the network sent it
            trouble = explain(error, self.timeout)
        if deadline.passed:  # an answer that it cut off may look whole
            trouble = Trouble(f"got no whole answer within {self.call_timeout:g} s")
        if trouble:  # raised out here, where nothing refers to the library's error, which may hold secrets
            raise self._service.error(method, path, trouble)
        return self._answers.value(method, path, answer)

    def _prepared(
        self, method: str, path: str, params: Mapping[str, str | int] | None, json: Any
    ) -> PreparedRequest:
        url = self._base + path
        try:
            request = self._transport.prepare(method, url, params=params, json=json)
        except (OSError, ValueError, TypeError):  # the errors of requests are among these
            request = None
        # Ids have to arrive as they are: what would be encoded, resolved or cut off is refused.
        if request and "#" not in path and (request.url or "").partition("?")[0] == url:
            return request
        trouble = Trouble("cannot be sent: the path, query or body cannot be used", fatal=True)
        raise self._service.error(method, self._sanitizer.words(path), trouble)

    def _final_answer(self, request: PreparedRequest, path: str) -> Answer:
        """Send a request, and follow redirects of a GET as long as they stay on the same origin."""
        for _ in range(_MAX_REDIRECTS):
            answer = self._transport.send(request)
            if answer.location is None:
                return answer
            if trouble := self._objection(request, answer.location):
                raise self._service.error(request.method or "", path, trouble, status=answer.status)
            request = self._transport.prepare("GET", urljoin(request.url or "", answer.location))
        raise self._service.error("GET", path, Trouble("was redirected too often"))

    def _objection(self, request: PreparedRequest, location: str) -> Trouble | None:
        """Return why a redirect is not followed; None if it is."""
        if request.method != "GET":
            return Trouble("was redirected, which is refused for anything but GET", fatal=True)
        try:
            target = urljoin(request.url or "", location)
        except ValueError:
            target = location
        if not is_plain(target):
            return Trouble("was redirected to an odd address, which is refused", fatal=True, wrong_host=True)
        if not (leads_to := origin(target)):
            return Trouble("was redirected to no address")
        if leads_to != self._origin:
            shown = self._sanitizer.words(leads_to)
            words = f"was redirected to another origin ({shown}), which is refused: check the host"
            return Trouble(words, fatal=True, wrong_host=True)
        # urllib3 writes the addresses it sends requests to into its log, and proxies do so too.
        sent = self._transport.prepare("GET", target).url or ""
        if self._sanitizer.holds_token(location) or self._sanitizer.holds_token(sent):
            words = "was redirected to an address that holds the API token, which is refused"
            return Trouble(words, fatal=True, wrong_host=True)
        return None


def checked_token(token: str) -> str:
    """Return the token as it is sent, or raise ValueError, which does not show it."""
    token = token.strip()
    if not token:
        raise ValueError("token is empty: give the API token of useapi.net")
    # requests would print the whole header in its error.
    if not (token.isascii() and token.isprintable()):
        raise ValueError("token holds control or non-ASCII characters: copy the API token again")
    return token
