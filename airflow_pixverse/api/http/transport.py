"""HTTP transport: send one request, and read its response up to a limit."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import requests

from airflow_pixverse.api.http.deadline import DeadlineAdapter
from airflow_pixverse.api.http.headers import parse_http_date, parse_retry_after

MAX_BODY = 5 * 1024 * 1024

_READ_SIZE = 64 * 1024  # bytes


class RawFile(NamedTuple):
    """A file as the body of a request."""

    body: Iterable[bytes]
    content_type: str


class ApiRequest(NamedTuple):
    """
    A request to the service.

    :param path: path after the base URL, sent as it is.
    :param params: query parameters; those that are None are left out.
    :param json: JSON body; None for no body.
    :param file: body in place of JSON.
    """

    method: str
    path: str
    params: Mapping[str, str | int | None] | None = None
    json: Any = None
    file: RawFile | None = None


class ApiResponse(NamedTuple):
    """
    A response, as the server sent it.

    :param encoding: content encoding of the body; empty if none. An encoded body is not read.
    :param location: target of a redirect; None if it is no redirect.
    :param retry_after: seconds that the server asks to wait; None if unknown.
    :param date: time of the server; None if unknown.
    """

    status: int
    body: bytes
    content_type: str
    encoding: str
    location: str | None
    retry_after: float | None
    date: datetime | None = None

    @property
    def is_web_page(self) -> bool:
        """Whether the body is HTML, by its content type or its first characters."""
        start = self.body[:64].lstrip().lower()
        return self.content_type.startswith("text/html") or start.startswith((b"<!doctype html", b"<html"))


class BodyTooLargeError(Exception):
    """The body of a response is larger than 5 MiB."""


class PartialResponseError(Exception):
    """
    The head of a response has arrived, and its body cannot be read.

    :param status: status of the response.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ProxySettings:
    """
    The proxy and the certificates that requests use.

    :param proxy: URL of an http(s) proxy; None for the environment's.
    :param ca_bundle: file or folder of certificates to trust instead of the default ones.
    """

    def __init__(self, proxy: str | None, ca_bundle: str | None) -> None:
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._ca_bundle = ca_bundle
        self._environment = requests.Session()

    def for_url(self, url: str) -> dict[str, Any]:
        """Return the arguments ``proxies`` and ``verify`` for an adapter of ``requests``."""
        settings = self._environment.merge_environment_settings(
            url, dict(self._proxies), stream=True, verify=self._ca_bundle, cert=None
        )
        return {"proxies": settings["proxies"], "verify": settings["verify"]}


class Transport:
    """
    Sends requests over connections that are kept alive. It repeats none, and keeps and sends no cookies.

    It does without a session of ``requests``, which would follow the netrc file and keep cookies, and which
    reads the body of a redirect however large it is.

    :param direct: never use a proxy, whatever ``proxy`` and the environment say.
    """

    def __init__(
        self,
        token: str,
        *,
        user_agent: str,
        timeout: tuple[float, float],
        proxy: str | None,
        ca_bundle: str | None,
        direct: bool,
    ) -> None:
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # so that a small body stays small
            "User-Agent": user_agent,
        }
        self._timeout = timeout
        self._proxy_settings = None if direct else ProxySettings(proxy, ca_bundle)
        self._adapter = DeadlineAdapter()

    def prepare(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str | int | None] | None = None,
        json: Any = None,
        file: RawFile | None = None,
    ) -> requests.PreparedRequest:
        """Return a request as it will be sent; its ``url`` is the address it goes to."""
        headers, body = self._headers, None
        if file is not None:
            headers, body = headers | {"Content-Type": file.content_type}, file.body
        return requests.Request(method, url, headers=headers, params=params, json=json, data=body).prepare()

    def send(self, request: requests.PreparedRequest) -> ApiResponse:
        """
        Send a request and read its response. Redirects are not followed.

        :raises Exception: any error of ``requests``, urllib3 and the standard library.
        """
        settings = self._proxy_settings
        route: dict[str, Any] = settings.for_url(request.url or "") if settings else {"proxies": {}}
        response = self._adapter.send(request, stream=True, timeout=self._timeout, **route)
        headers = response.headers
        with response:
            encoding = headers.get("Content-Encoding", "").strip().lower().replace("identity", "")
            location = headers["Location"] if response.is_redirect else None
            return ApiResponse(
                status=response.status_code,
                body=b"" if encoding or location is not None else _bounded_body(response),
                content_type=headers.get("Content-Type", "").strip().lower(),
                encoding=encoding,
                location=location,
                retry_after=parse_retry_after(headers.get("Retry-After")),
                date=parse_http_date(headers.get("Date")),
            )

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._adapter.close()


def _bounded_body(response: requests.Response) -> bytes:
    body = bytearray()
    try:
        while chunk := response.raw.read(_READ_SIZE, decode_content=False):
            body += chunk
            if len(body) > MAX_BODY:
                raise BodyTooLargeError
    except Exception as error:
        raise PartialResponseError(response.status_code) from error
    return bytes(body)
