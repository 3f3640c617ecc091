"""MediaClient: the files behind the URLs of results, which lie on servers of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import select_proxy

from airflow_pixverse import __version__
from airflow_pixverse.api.address import is_loopback_http, is_plain, origin
from airflow_pixverse.api.deadline import DEFAULT_TIMEOUT, Deadline, DeadlineAdapter
from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseLinkExpiredError,
    PixverseTransientError,
)
from airflow_pixverse.api.network_errors import explain
from airflow_pixverse.api.public_addresses import PrivateAddressError, PublicAdapter, check_literal
from airflow_pixverse.api.retry_after import seconds_to_wait
from airflow_pixverse.api.route import Route
from airflow_pixverse.api.sanitizer import one_line, shortened

_READ_SIZE = 64 * 1024
_MAX_REDIRECTS = 5
_MAX_SHOWN = 200
_OK, _PARTIAL = 200, 206
_GONE = frozenset({401, 403, 404, 410})
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})")
_USER_INFO = re.compile(r"://[^/?#]*@")
_LENGTH = re.compile(r"[0-9]{1,18}")
_NO_FILE = ("text/", "application/json", "application/xml")


@dataclass
class Media:
    """
    A file that is being read.

    :param content_type: such as ``video/mp4``; empty where the server does not say.
    :param size: of the whole file, in bytes; None where the server does not say.
    :param begins_at: how many bytes of the file come before what is read.
    :param validator: what a later request sends along, so that it goes on in the same file; empty where that
        is not possible.
    :param chunks: the bytes, in parts of at most 64 KiB.
    """

    content_type: str
    size: int | None
    begins_at: int
    validator: str
    chunks: Iterator[bytes]


class MediaClient:
    """
    Reads files behind URLs, without the API token, cookies or credentials of a netrc file.

    It follows redirects, to other servers too, but not from https to http.

    :param timeout: seconds to wait for the connection, and for each part of an answer. Where both together
        pass without another 64 KiB, the read ends.
    :param proxy: URL of an http(s) proxy; None to follow the environment.
    :param ca_bundle: file or folder of certificates to trust instead of the default ones.
    :param allow_private: whether files of this machine and of private networks may be read.
    :param user_agent: what to send as ``User-Agent``.
    """

    def __init__(
        self,
        *,
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        proxy: str | None = None,
        ca_bundle: str | None = None,
        allow_private: bool = False,
        user_agent: str = f"airflow-pixverse/{__version__}",
    ) -> None:
        self._timeout = timeout
        self._route = Route(proxy, ca_bundle)
        self._allow_private = allow_private
        self._headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": user_agent}

    @contextmanager
    def open(self, url: str, *, offset: int = 0, validator: str = "") -> Iterator[Media]:
        """
        Open the file behind a URL.

        :param offset: how many bytes are there already; the server may begin at the first one all the same.
        :param validator: that of the file these bytes are of.
        :raises PixverseFatalError: it must not be read, or is behind no http(s) URL.
        :raises PixverseLinkExpiredError: the URL leads to nothing any more (401, 403, 404, 410).
        :raises PixverseTransientError: it cannot be read now, or not to its end; also from the chunks.
        """
        adapter = DeadlineAdapter() if self._allow_private else PublicAdapter()
        headers = dict(self._headers)
        if offset:
            headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
        with Deadline(sum(self._timeout)) as deadline:
            try:
                with self._response(adapter, url, headers, deadline) as response:
                    yield self._media(response, url, deadline)
            finally:
                adapter.close()

    def _response(
        self, adapter: DeadlineAdapter, url: str, headers: Mapping[str, str], deadline: Deadline
    ) -> requests.Response:
        try:
            return self._followed(adapter, url, headers)
        except PixverseError:
            raise
        except PrivateAddressError as error:
            raise PixverseFatalError(
                f"{shown(url)} leads to {error.address}, which is no public address, and is not read: if "
                "that is where your results are, set allow_private_results in the extra of the connection"
            ) from None
        except Exception as error:  # noqa: BLE001 - whatever the libraries stumble over, the network sent it
            trouble = self._trouble(error, deadline)
        raise PixverseTransientError(f"{shown(url)} {trouble}")

    def _followed(self, adapter: DeadlineAdapter, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Return the answer that the redirects, if there are any, lead to."""
        target = url
        for _ in range(_MAX_REDIRECTS + 1):
            _check_address(target, url)
            response = self._sent(adapter, target, headers)
            if not response.is_redirect:
                return response
            response.close()
            target, previous = urljoin(target, response.headers["Location"]), target
            if urlsplit(previous).scheme == "https" and urlsplit(target).scheme != "https":
                raise PixverseFatalError(f"{shown(url)} is redirected from https to http, which is refused")
        raise PixverseTransientError(f"{shown(url)} is redirected too often")

    def _sent(self, adapter: DeadlineAdapter, url: str, headers: Mapping[str, str]) -> requests.Response:
        request = requests.Request("GET", url, headers=headers).prepare()
        sent_url = request.url or ""
        is_direct = self._allow_private and is_loopback_http(sent_url)
        route: dict[str, Any] = {"proxies": {}} if is_direct else self._route.of(sent_url)
        if not self._allow_private and select_proxy(sent_url, route["proxies"]):
            check_literal(sent_url)
        return adapter.send(request, stream=True, timeout=self._timeout, **route)

    def _media(self, response: requests.Response, url: str, deadline: Deadline) -> Media:
        headers, status = response.headers, response.status_code
        content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if status in _GONE:
            raise PixverseLinkExpiredError(f"{shown(url)} leads to nothing (any more): it answered {status}")
        if status not in {_OK, _PARTIAL}:
            retry_after = seconds_to_wait(headers.get("Retry-After"))
            raise PixverseTransientError(f"{shown(url)} answered {status}", retry_after=retry_after)
        if content_type.startswith(_NO_FILE):
            raise PixverseTransientError(f"{shown(url)} answered {shown(content_type)} instead of a file")
        if headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
            raise PixverseTransientError(f"{shown(url)} answered an encoded file, which was not asked for")
        begins_at, size = _part(response)
        etag = headers.get("ETag", "")
        return Media(
            content_type=content_type if re.fullmatch(r"[\w.+-]+/[\w.+-]+", content_type) else "",
            size=size,
            begins_at=begins_at,
            validator=headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag,
            chunks=self._chunks(response, url, size, begins_at, deadline),
        )

    def _chunks(
        self,
        response: requests.Response,
        url: str,
        size: int | None,
        begins_at: int,
        deadline: Deadline,
    ) -> Iterator[bytes]:
        position = begins_at
        while chunk := self._read(response, url, deadline):
            position += len(chunk)
            yield chunk
        if size is not None and position != size:
            raise PixverseTransientError(f"{shown(url)} ended after {position} of {size} bytes")

    def _read(self, response: requests.Response, url: str, deadline: Deadline) -> bytes:
        """Return the next bytes; none at the end."""
        deadline.postpone()
        trouble = ""
        try:
            chunk: bytes = response.raw.read(_READ_SIZE, decode_content=False)
        except Exception as error:  # noqa: BLE001 - see above
            trouble = self._trouble(error, deadline)
        if deadline.passed:  # what it cut off may look whole
            trouble = self._stalled()
        if trouble:
            raise PixverseTransientError(f"{shown(url)} {trouble}")
        deadline.pause()
        return chunk

    def _trouble(self, error: Exception, deadline: Deadline) -> str:
        return self._stalled() if deadline.passed else explain(error, self._timeout, sent=deadline.sent).words

    def _stalled(self) -> str:
        return f"sent less than {_READ_SIZE} bytes within {sum(self._timeout):g} s"


def shown(url: str) -> str:
    """Return a URL for a message: one short line, without what is signed in its query, or its user info."""
    return shortened(one_line(_USER_INFO.sub("://", url.partition("?")[0])), _MAX_SHOWN)


def _check_address(target: str, url: str) -> None:
    if not is_plain(target) or not origin(target):
        where = "is redirected to" if target != url else "is"
        raise PixverseFatalError(
            f"{shown(url)} {where} no plain http(s) address, without user info and blanks"
        )


def _part(response: requests.Response) -> tuple[int, int | None]:
    """Return where in the file the answer begins, and the size of the file, if that is known."""
    if response.status_code == _PARTIAL:
        content_range = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if content_range is None:
            raise PixverseTransientError(f"{shown(response.url)} answered a part that it does not describe")
        return int(content_range[1]), int(content_range[2])
    length = _LENGTH.fullmatch(response.headers.get("Content-Length", ""))
    return 0, int(length[0]) if length else None
