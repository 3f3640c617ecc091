"""One HTTP exchange: a request goes out, and what matters of its answer comes back, bounded in size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import requests

from airflow_pixverse.api.deadline import DeadlineAdapter
from airflow_pixverse.api.retry_after import seconds_to_wait
from airflow_pixverse.api.route import Route

if TYPE_CHECKING:
    from airflow_pixverse.api.call import RawFile

MAX_BODY = 5 * 1024 * 1024

_READ_SIZE = 64 * 1024


class Answer(NamedTuple):
    """
    What a server answered, as it sent it.

    :param location: where it redirects to; None if it does not.
    :param encoding: how the body is encoded; empty if it is not. An encoded body is not read.
    :param retry_after: the seconds that it asks to wait.
    """

    status: int
    body: bytes
    content_type: str
    encoding: str
    location: str | None
    retry_after: float | None

    @property
    def is_plain_text(self) -> bool:
        """Return whether the body is plain text."""
        return self.content_type.startswith("text/plain")

    @property
    def is_web_page(self) -> bool:
        """Return whether the body is HTML."""
        return self.content_type.startswith("text/html")


class BodyTooLargeError(Exception):
    """The body of an answer is larger than 5 MiB."""


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
        self._route = None if direct else Route(proxy, ca_bundle)
        self._adapter = DeadlineAdapter()

    def prepare(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
        file: RawFile | None = None,
    ) -> requests.PreparedRequest:
        """Return the request as it will be sent; its ``url`` is the address it goes to."""
        headers, body = self._headers, None
        if file is not None:
            headers, body = headers | {"Content-Type": file.content_type}, file.body
        return requests.Request(method, url, headers=headers, params=params, json=json, data=body).prepare()

    def send(self, request: requests.PreparedRequest) -> Answer:
        """
        Send a request and read its answer. Redirects are not followed.

        :raises Exception: whatever ``requests``, urllib3 and the standard library make of what arrives.
        """
        route: dict[str, Any] = self._route.of(request.url or "") if self._route else {"proxies": {}}
        response = self._adapter.send(request, stream=True, timeout=self._timeout, **route)
        headers = response.headers
        with response:
            encoding = headers.get("Content-Encoding", "").strip().lower().replace("identity", "")
            location = headers["Location"] if response.is_redirect else None
            return Answer(
                status=response.status_code,
                body=b"" if encoding or location is not None else _bounded_body(response),
                content_type=headers.get("Content-Type", "").strip().lower(),
                encoding=encoding,
                location=location,
                retry_after=seconds_to_wait(headers.get("Retry-After")),
            )

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._adapter.close()


def _bounded_body(response: requests.Response) -> bytes:
    body = bytearray()
    while chunk := response.raw.read(_READ_SIZE, decode_content=False):
        body += chunk
        if len(body) > MAX_BODY:
            raise BodyTooLargeError
    return bytes(body)
