"""PixverseClient: the two scheduler endpoints over one requests session, with one retry policy."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Self, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import requests
from pydantic import TypeAdapter, ValidationError
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from airflow_pixverse import __version__
from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseTransientError,
    error_for_status,
)
from airflow_pixverse.api.models import Capacity, ExecutingJob

DEFAULT_BASE_URL = "https://api.useapi.net"
DEFAULT_TIMEOUT = (10.0, 30.0)
DEFAULT_MAX_RETRIES = 3

_BASE_PATH = "/v2/pixverse"
_FIRST_BACKOFF = 0.5
_MAX_BODY = 5 * 1024 * 1024
_MAX_REDIRECTS = 5
_MAX_WORDS = 300
# A date far away, or milliseconds instead of seconds, must not stop everything for good.
_MAX_RETRY_AFTER = 3600.0

_Model = TypeVar("_Model")
_CAPACITY = TypeAdapter(Capacity)
_EXECUTING = TypeAdapter(list[ExecutingJob])


class PixverseClient:
    """
    A client of the useapi.net PixVerse API v2.

    Use it as a context manager, or call :meth:`close`. It is not meant to be shared between threads.

    :param token: API token, sent whole as ``Authorization: Bearer <token>``; it appears nowhere else.
    :param base_url: origin of the service, or the whole base where a gateway serves it under another path
        than ``/v2/pixverse``.
    :param timeout: seconds to wait for the connection, and for each part of the answer; its whole body may
        take as long as both together.
    :param max_retries: how often a read is repeated after transient trouble; 0 for never.
    :param max_retry_wait: longest sleep between two attempts in seconds, whatever ``Retry-After`` asks for.
    :param proxy: URL of a proxy; None to follow the environment (``HTTPS_PROXY``, ...).
    :param ca_bundle: file or folder of certificates to trust instead of the default ones.
    :param user_agent: what to send as ``User-Agent``.
    :raises ValueError: a parameter cannot be used; the message names it and never shows the token.
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
    ) -> None:
        self.base_url = checked_base_url(base_url)
        self.timeout = timeout
        self.max_retries = max_retries
        self.max_retry_wait = max_retry_wait
        # Given with each request: what requests reads from the environment wins over the session's.
        self._proxies = {"http": proxy, "https": proxy} if proxy else None
        self._verify = ca_bundle
        token = checked_token(token)
        self._secrets = re.compile("|".join(map(re.escape, (token, quote(token, safe="")))))
        self._session = requests.Session()
        self._session.auth = _BearerAuth(token)
        self._session.headers.update({"Accept": "application/json", "User-Agent": user_agent})

    def __repr__(self) -> str:
        return f"<PixverseClient {self.base_url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._session.close()

    def list_executing(self) -> list[ExecutingJob]:
        """
        Return the jobs being executed by the API (``GET scheduler/``), in the API's order.

        Source: "Retrieve the list of videos and images currently being executed by the API".

        :raises PixverseFatalError: asking again will not help (bad token, ...).
        :raises PixverseTransientError: no usable answer, even after the retries.
        """
        return self._read("scheduler/", _EXECUTING.validate_python)

    def get_capacity(self) -> Capacity:
        """
        Return what executes and the room of each account (``GET scheduler/available``).

        Source: "Retrieve the list of videos currently running via the API along with the available account
        capacity".

        :raises PixverseFatalError: asking again will not help (bad token, ...).
        :raises PixverseTransientError: no usable answer, even after the retries.
        """
        return self._read("scheduler/available", _CAPACITY.validate_python)

    def _read(self, path: str, parse: Callable[[Any], _Model]) -> _Model:
        """GET ``path``, again after transient trouble: reads change nothing, so repeating them is safe."""
        for attempt in range(self.max_retries):
            try:
                return self._read_once(path, parse)
            except PixverseTransientError as error:
                time.sleep(self._retry_wait(attempt, error.retry_after))
        return self._read_once(path, parse)

    def _retry_wait(self, attempt: int, retry_after: float | None) -> float:
        backoff = _FIRST_BACKOFF * 2**attempt if retry_after is None else retry_after
        # Jitter only adds: the server asked for no less than it said.
        return min(self.max_retry_wait, backoff * random.uniform(1.0, 1.25))  # noqa: S311

    def _read_once(self, path: str, parse: Callable[[Any], _Model]) -> _Model:
        limit = sum(self.timeout)
        try:
            with self._get(path) as response:
                body = _bounded_body(response, limit)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidProxyURL) as error:
            message = f"GET {path} cannot be sent: {self._hide(str(error))}"
            raise PixverseFatalError(message, method="GET", path=path) from None
        except (OSError, HTTPError, ValueError) as error:  # requests looks at redirects, well-formed or not
            # "from None": the cause may repeat what the server sent, the token included.
            raise self._unusable(path, f"got no answer ({self._hide(str(error))})") from None
        ok = HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES
        retry_after = _retry_after(response)
        try:
            value = self._hide(json.loads(body))
        except (ValueError, RecursionError):
            if ok:
                raise self._unusable(path, "answered something that is not JSON") from None
            value = None
        if not ok:
            words = _words(value) or self._hide(_plain_words(response, body))
            raise self._error(response.status_code, path, words, retry_after)
        if isinstance(value, dict) and value.get("error"):
            raise self._error(_code(value), path, _words(value), retry_after)
        try:
            return parse(value)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the body"
            raise self._unusable(
                path, f"answered a body of another shape ({where}: {first['msg']})"
            ) from None

    def _get(self, path: str) -> requests.Response:
        """Send the request, following redirects as long as they stay on the same origin."""
        url = self.base_url + path
        for _ in range(_MAX_REDIRECTS):
            response = self._session.get(
                url,
                timeout=self.timeout,
                proxies=self._proxies,
                verify=self._verify,
                allow_redirects=False,
                stream=True,
            )
            if not response.is_redirect:
                return response
            response.close()
            try:
                url = urljoin(url, response.headers["Location"])
            except ValueError:
                raise self._unusable(path, "was redirected to no address") from None
            if (origin := _origin(url)) != _origin(self.base_url):
                raise PixverseFatalError(
                    f"GET {path} was redirected to another origin ({self._hide(origin)}), which is refused: "
                    "check the host of the connection",
                    status=response.status_code,
                    method="GET",
                    path=path,
                )
        raise self._unusable(path, "was redirected too often")

    def _hide(self, value: Any) -> Any:
        """Return ``value`` without the token, wherever the server repeats it."""
        if isinstance(value, str):
            return self._secrets.sub("***", value)
        if isinstance(value, list):
            return [self._hide(item) for item in value]
        if isinstance(value, dict):
            return {self._hide(key): self._hide(item) for key, item in value.items()}
        return value

    @staticmethod
    def _error(status: int | None, path: str, words: str, retry_after: float | None) -> PixverseError:
        return error_for_status(status, method="GET", path=path, detail=words, retry_after=retry_after)

    @staticmethod
    def _unusable(path: str, what: str) -> PixverseTransientError:
        return PixverseTransientError(f"GET {path} {what}", method="GET", path=path)


class _BearerAuth(AuthBase):
    """As an auth object, since a plain Authorization header gives way to an entry in ``.netrc``."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def checked_token(token: str) -> str:
    """Return the token as it is sent, or raise ValueError, which does not show it."""
    token = token.strip()
    if not token:
        raise ValueError("token is empty: give the API token of useapi.net")
    # requests would print the whole header in its error.
    if not (token.isascii() and token.isprintable()):
        raise ValueError("token holds control or non-ASCII characters: copy the API token again")
    return token


def checked_base_url(base_url: str) -> str:
    """Return the address that paths are appended to, or raise ValueError."""
    parts = urlsplit(base_url)
    if not _origin(base_url) or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"base_url is no plain address like {DEFAULT_BASE_URL} or http://127.0.0.1:8900")
    path = parts.path.rstrip("/") or _BASE_PATH
    return f"{parts.scheme}://{parts.netloc}{path}/"


def _origin(url: str) -> str:
    """Return scheme, host and port of an http(s) address; nothing where it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        (parts.hostname or "").encode("idna")  # refuses labels that are empty or too long
    except (KeyError, ValueError):
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname else ""


def _bounded_body(response: requests.Response, limit: float) -> bytes:
    """Read the body, but no more than 5 MiB of it, and for no more than ``limit`` seconds."""
    body = bytearray()
    deadline = time.monotonic() + limit
    # read1 returns what is there, so that time passes only between two reads; urllib3 1 does not have it.
    read = getattr(response.raw, "read1", response.raw.read)
    while chunk := read(64 * 1024, decode_content=True):
        body += chunk
        if time.monotonic() > deadline:
            raise requests.exceptions.Timeout(f"no whole answer within {limit:g} s")
        if len(body) > _MAX_BODY:
            raise requests.exceptions.ContentDecodingError(f"the body is larger than {_MAX_BODY} bytes")
    return bytes(body)


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, a number or a date; an hour at most."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), _MAX_RETRY_AFTER)


def _code(body: dict[str, Any]) -> int | None:
    try:
        return int(body.get("code") or 0) or None
    except (TypeError, ValueError, OverflowError):
        return None


def _words(body: Any) -> str:
    """Return what the server says of its error, which may be a string or an object."""
    error = body.get("error") or body.get("message") if isinstance(body, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error
    if error is None:
        return ""
    return (error if isinstance(error, str) else json.dumps(error))[:_MAX_WORDS]


def _plain_words(response: requests.Response, body: bytes) -> str:
    """Return a short plain-text body; a page of HTML says nothing worth repeating."""
    if "text/plain" not in response.headers.get("Content-Type", ""):
        return ""
    return " ".join(body.decode(errors="replace").split())[:_MAX_WORDS]
