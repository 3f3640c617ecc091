"""
What can go wrong, one class per way to react.

::

    PixverseError
    ├── PixverseFatalError          asking again will not help
    │   └── PixverseAuthError       the API token is refused (401, 403)
    └── PixverseTransientError      asking again later may help; may carry ``retry_after``
        └── PixverseRateLimitError  too many requests (429)
"""

from __future__ import annotations

from http import HTTPStatus

# 596: the account is in an error state on sibling services of useapi.net.
_FATAL_STATUSES = frozenset({400, 401, 402, 403, 404, 412, 422, 596})
_AUTH_STATUSES = frozenset({401, 403})
_TRANSIENT_STATUSES = frozenset({408, 425, 429})
_HINTS = {
    401: "check the API token",
    402: "the useapi.net subscription has expired",
    403: "check the API token",
    404: "check the host, and that a PixVerse account is configured at useapi.net",
    412: "the account has no credits left",
    596: "the account is in an error state at useapi.net",
}


class PixverseError(Exception):
    """
    A call to the PixVerse API did not give an answer that can be used.

    :param message: what went wrong, for a person.
    :param status: HTTP status, or the ``code`` of an error in the body; None without an answer.
    :param method: HTTP method of the call.
    :param path: path of the call.
    :param detail: the server's own words, the API token removed.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        method: str | None = None,
        path: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.method = method
        self.path = path
        self.detail = detail


class PixverseFatalError(PixverseError):
    """Asking again will not help: the request, the token, the account or the connection is at fault."""


class PixverseAuthError(PixverseFatalError):
    """The API token is refused (401 or 403)."""


class PixverseTransientError(PixverseError):
    """
    Asking again later may help: upstream trouble, the network, or a body that cannot be read.

    :param retry_after: seconds the server asks to wait before the next call; None if it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        method: str | None = None,
        path: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message, status=status, method=method, path=path, detail=detail)
        self.retry_after = retry_after


class PixverseRateLimitError(PixverseTransientError):
    """Too many requests, or every account is at capacity (429)."""


def error_for_status(
    status: int | None,
    *,
    method: str,
    path: str,
    detail: str | None = None,
    retry_after: float | None = None,
) -> PixverseError:
    """
    Return the error that an HTTP status, or the ``code`` of an error in a 200 body, stands for.

    This is the only place that knows what a status means. A status not listed in ``API.md`` is fatal when it
    blames the client (4xx) and transient otherwise.

    :param status: HTTP status or ``code``; None for an error in a 200 body that has no code.
    :param retry_after: seconds from the ``Retry-After`` header.
    """
    said = f": {detail}" if detail else ""
    message = f"{method} {path} answered {_name(status)}{said}"
    if status in _FATAL_STATUSES or (
        status is not None and 400 <= status < 500 and status not in _TRANSIENT_STATUSES  # noqa: PLR2004
    ):
        hint = f" ({_HINTS[status]})" if status in _HINTS else ""
        kind = PixverseAuthError if status in _AUTH_STATUSES else PixverseFatalError
        return kind(message + hint, status=status, method=method, path=path, detail=detail)
    transient = PixverseRateLimitError if status == HTTPStatus.TOO_MANY_REQUESTS else PixverseTransientError
    return transient(message, status=status, method=method, path=path, detail=detail, retry_after=retry_after)


def _name(status: int | None) -> str:
    if status is None:
        return "an error"
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
