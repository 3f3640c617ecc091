"""MediaClient: read the files behind the URLs of results, which are on other servers than the API."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import select_proxy

from airflow_pixverse import __version__
from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseLinkExpiredError,
    PixverseTransientError,
)
from airflow_pixverse.api.http.address import is_loopback_http, is_plain, origin
from airflow_pixverse.api.http.deadline import DEFAULT_TIMEOUT, Deadline, DeadlineAdapter
from airflow_pixverse.api.http.headers import MEDIA_TYPES, is_text, is_text_type, parse_retry_after
from airflow_pixverse.api.http.network_errors import explain
from airflow_pixverse.api.http.public_addresses import PrivateAddressError, PublicAdapter, check_literal
from airflow_pixverse.api.http.transport import ProxySettings
from airflow_pixverse.api.http.url_redaction import redacted_logs, redacted_url

_READ_SIZE = 64 * 1024  # bytes
# Read at a time: a part in which the connection breaks off is lost.
_PART_SIZE = 8 * 1024  # bytes
_MAX_REDIRECTS = 5
_OK, _PARTIAL = 200, 206
_GONE = frozenset({401, 403, 404, 410})
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})")
_LENGTH = re.compile(r"[0-9]{1,18}")


@dataclass
class Media:
    """
    A file that is being read.

    :param content_type: such as ``video/mp4``; empty if unknown.
    :param size: size of the whole file in bytes; None if unknown.
    :param begins_at: position in the file of the first byte that is read.
    :param validator: value of ``If-Range`` for a later request that resumes; empty where resuming is not
        possible.
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

    :param timeout: seconds to wait for the connection, and for each part of a response. If both together pass
        without another 64 KiB, the read ends.
    :param proxy: URL of an http(s) proxy; None for the environment's.
    :param ca_bundle: file or folder of certificates to trust instead of the default ones.
    :param allow_private: whether files of this machine and of private networks may be read.
    :param user_agent: value of the header ``User-Agent``.
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
        self._proxy_settings = ProxySettings(proxy, ca_bundle)
        self._allow_private = allow_private
        self._headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": user_agent}

    @contextmanager
    def open(self, url: str, *, offset: int = 0, validator: str = "") -> Iterator[Media]:
        """
        Open the file behind a URL.

        :param offset: number of bytes that are there already; the server may still begin at the first one.
        :param validator: validator of the file that these bytes belong to.
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
            raise _error(
                url,
                f"leads to {error.address}, which is no public address, and is not read: if that is where "
                "your results are, set allow_private_results in the extra of the connection",
                PixverseFatalError,
            ) from None
        except Exception as error:  # noqa: BLE001 - the libraries raise all kinds of errors for what the network sent
            failure = self._failure(error, deadline)
        raise _error(url, failure)

    def _followed(self, adapter: DeadlineAdapter, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Return the response at the end of the redirects."""
        target = url
        for _ in range(_MAX_REDIRECTS + 1):
            _check_address(target, url)
            response = self._sent(adapter, target, headers)
            if not response.is_redirect:
                return response
            response.close()
            target, previous = urljoin(target, response.headers["Location"]), target
            if urlsplit(previous).scheme == "https" and urlsplit(target).scheme != "https":
                raise _error(url, "is redirected from https to http, which is refused", PixverseFatalError)
        raise _error(url, "is redirected too often")

    def _sent(self, adapter: DeadlineAdapter, url: str, headers: Mapping[str, str]) -> requests.Response:
        request = requests.Request("GET", url, headers=headers).prepare()
        sent_url = request.url or ""
        is_direct = self._allow_private and is_loopback_http(sent_url)
        route: dict[str, Any] = {"proxies": {}} if is_direct else self._proxy_settings.for_url(sent_url)
        if not self._allow_private and select_proxy(sent_url, route["proxies"]):
            check_literal(sent_url)
        with redacted_logs():
            return adapter.send(request, stream=True, timeout=self._timeout, **route)

    def _media(self, response: requests.Response, url: str, deadline: Deadline) -> Media:
        headers, status = response.headers, response.status_code
        content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if status in _GONE:
            raise _error(url, f"leads to nothing (any more): it answered {status}", PixverseLinkExpiredError)
        if status not in {_OK, _PARTIAL}:
            retry_after = parse_retry_after(headers.get("Retry-After"))
            raise _error(url, f"answered {status}", retry_after=retry_after)
        if is_text_type(content_type):
            raise _error(url, f"answered {redacted_url(content_type)} instead of a file")
        if headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
            raise _error(url, "answered an encoded file, which was not asked for")
        if not re.fullmatch(r"[\w.+-]+/[\w.+-]+", content_type):
            content_type = ""
        begins_at, size = _part(response)
        etag = headers.get("ETag", "")
        chunks = self._chunks(response, url, size, begins_at, deadline)
        if not begins_at and not content_type.startswith(MEDIA_TYPES):
            chunks = _checked(chunks, url)
        return Media(
            content_type=content_type,
            size=size,
            begins_at=begins_at,
            validator=headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag,
            chunks=chunks,
        )

    def _chunks(
        self, response: requests.Response, url: str, size: int | None, begins_at: int, deadline: Deadline
    ) -> Iterator[bytes]:
        position = begins_at
        is_at_end = False
        while not is_at_end:
            chunk, failure = self._read(response, deadline)
            if chunk:
                position += len(chunk)
                yield chunk
            if failure:
                raise _error(url, failure)
            is_at_end = len(chunk) < _READ_SIZE
        if size is not None and position != size:
            raise _error(url, f"ended after {position} of {size} bytes")

    def _read(self, response: requests.Response, deadline: Deadline) -> tuple[bytes, str]:
        """Return the next 64 KiB, less at the end, and why the rest does not arrive; empty if it does."""
        deadline.postpone()
        chunk, failure = bytearray(), ""
        try:
            while len(chunk) < _READ_SIZE and (part := response.raw.read(_PART_SIZE, decode_content=False)):
                chunk += part
        except Exception as error:  # noqa: BLE001 - see above
            failure = self._failure(error, deadline)
        if deadline.passed:  # a part that it cut off may look whole
            failure = self._stalled()
        if not failure:
            deadline.pause()
        return bytes(chunk), failure

    def _failure(self, error: Exception, deadline: Deadline) -> str:
        return (
            self._stalled() if deadline.passed else explain(error, self._timeout, sent=deadline.sent).message
        )

    def _stalled(self) -> str:
        return f"sent less than {_READ_SIZE} bytes within {sum(self._timeout):g} s"


def _error(
    url: str, message: str, kind: type[PixverseError] = PixverseTransientError, **details: Any
) -> PixverseError:
    """Return an error about a URL, which is redacted in it."""
    return kind(f"{redacted_url(url)} {message}", **details)


def _check_address(target: str, url: str) -> None:
    if not is_plain(target) or not origin(target):
        where = "is redirected to" if target != url else "is"
        raise _error(
            url, f"{where} no plain http(s) address, without user info and blanks", PixverseFatalError
        )


def _checked(chunks: Iterator[bytes], url: str) -> Iterator[bytes]:
    """Return the chunks of a file without a known type, unless it begins as text does."""
    first = next(chunks, None)
    if first is None:
        return
    if is_text(first):
        raise _error(url, "answered text instead of a file")
    yield first
    yield from chunks


def _part(response: requests.Response) -> tuple[int, int | None]:
    """Return the position in the file of the first byte, and the size of the file; None if unknown."""
    if response.status_code == _PARTIAL:
        content_range = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if content_range is None:
            raise _error(response.url, "answered a part that it does not describe")
        return int(content_range[1]), int(content_range[2])
    length = _LENGTH.fullmatch(response.headers.get("Content-Length", ""))
    return 0, int(length[0]) if length else None
