"""
What can go wrong, one class per way to react.

::

    PixverseError
    ├── PixverseFatalError              asking again will not help
    │   ├── PixverseAuthError           the API token is refused (401, 403)
    │   ├── PixverseJobFailedError      a job ended without a result
    │   └── PixverseJobModeratedError   a job ended because moderation refused its input or its result
    ├── PixverseTransientError          asking again later may help; may carry ``retry_after``
    │   ├── PixverseLinkExpiredError    the URL of a result leads to nothing any more: ask for a new one
    │   ├── PixverseNoConnectionError   no connection came about, so nothing was sent
    │   └── PixverseRateLimitError      too many requests (429)
    └── PixverseUnknownOutcomeError     a job may have been accepted or not: look for it, submit nothing
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple


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


class _JobError(PixverseFatalError):
    """
    A job has ended without a result.

    :param job_id: its id.
    :param detail: the reason, in the words of the service; empty where it gives none.
    """

    def __init__(self, message: str, *, job_id: str | None = None, detail: str | None = None) -> None:
        super().__init__(message, detail=detail)
        self.job_id = job_id


class PixverseJobFailedError(_JobError):
    """A job has failed. Waiting for it is of no use, and submitting it again is paid for again."""


class PixverseJobModeratedError(_JobError):
    """Moderation refused the input or the result of a job: the same input would be refused again."""


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


class PixverseLinkExpiredError(PixverseTransientError):
    """The URL of a result leads to nothing any more. The service may tell a new one for the same job."""


class PixverseNoConnectionError(PixverseTransientError):
    """No connection to the service came about, so it has got nothing of the request."""


class PixverseRateLimitError(PixverseTransientError):
    """Too many requests, or every account is at capacity (429). A job that was submitted is not accepted."""


class PixverseUnknownOutcomeError(PixverseError):
    """
    A job was submitted, and whether the service accepted it is not known.

    It is neither fatal nor transient, so that nobody who catches those submits, and pays, a second time.

    :param answer: the JSON that was answered, made harmless; None where there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        answer: Any = None,
        status: int | None = None,
        method: str | None = None,
        path: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message, status=status, method=method, path=path, detail=detail)
        self.answer = answer


class StatusMeaning(NamedTuple):
    """
    What an HTTP status asks of a client.

    :param error: class of the error to raise.
    :param hint: what a person can do about it; empty where the status says it all.
    :param refuses: a job that was submitted is certainly not accepted.
    """

    error: type[PixverseError]
    hint: str = ""
    refuses: bool = False


# The one place that knows what a status means. A status without a row is fatal where it blames the client
# (4xx), and transient otherwise; whether a submit that got it was accepted is not known.
STATUS_MEANINGS: Mapping[int, StatusMeaning] = MappingProxyType(
    {
        400: StatusMeaning(PixverseFatalError, "the request is refused as it is", refuses=True),
        401: StatusMeaning(PixverseAuthError, "check the API token", refuses=True),
        402: StatusMeaning(PixverseFatalError, "the useapi.net subscription has expired", refuses=True),
        403: StatusMeaning(PixverseAuthError, "check the API token", refuses=True),
        404: StatusMeaning(
            PixverseFatalError,
            "check the host, and that a PixVerse account is configured at useapi.net",
            refuses=True,
        ),
        405: StatusMeaning(PixverseFatalError, "check the path", refuses=True),
        408: StatusMeaning(PixverseTransientError),
        412: StatusMeaning(PixverseFatalError, "the account has no credits left", refuses=True),
        422: StatusMeaning(PixverseFatalError, "the input is refused, by moderation perhaps", refuses=True),
        425: StatusMeaning(PixverseTransientError),
        429: StatusMeaning(PixverseRateLimitError, refuses=True),
        596: StatusMeaning(
            PixverseFatalError, "the account is in an error state at useapi.net", refuses=True
        ),
    }
)


def is_not_accepted(error: PixverseError) -> bool:
    """
    Return whether a job whose submit ended with this error is certainly not accepted.

    :param error: as the call that sent it raised it.
    """
    if error.status is not None:
        return _meaning_of(error.status).refuses
    # Without an answer, what is fatal could not even be sent.
    return isinstance(error, (PixverseFatalError, PixverseNoConnectionError))


def unknown_outcome(error: PixverseError, answer: Any = None) -> PixverseUnknownOutcomeError:
    """
    Return the error of a submit after which nobody knows whether a job is accepted.

    :param error: what went wrong.
    :param answer: the JSON that was answered, if any.
    """
    return PixverseUnknownOutcomeError(
        f"{error}; whether the job is accepted is not known",
        answer=answer,
        status=error.status,
        method=error.method,
        path=error.path,
        detail=error.detail,
    )


def error_for_status(
    status: int | None,
    *,
    method: str,
    path: str,
    detail: str | None = None,
    hint: str = "",
    retry_after: float | None = None,
    service: str = "",
) -> PixverseError:
    """
    Return the error that an HTTP status, or the ``code`` of an error in a 200 body, stands for.

    :param status: HTTP status or ``code``; None for an error in a 200 body that has no code.
    :param detail: the server's own words, already harmless.
    :param hint: what a person can do about it, instead of the status's own hint.
    :param retry_after: seconds from the ``Retry-After`` header.
    :param service: the service that answered, as errors name it.
    """
    meaning = _meaning_of(status)
    hint = hint or meaning.hint
    said = "" if _says_the_same(detail, status) else f": {detail}"
    transient = issubclass(meaning.error, PixverseTransientError)
    if transient and retry_after is not None:
        hint = f"it may be asked again in {retry_after:.0f} s"
    elif meaning.error is PixverseRateLimitError:
        hint = "it does not say when it may be asked again"
    message = f"{method} {path} answered {_name(status)}{said}" + (f" ({hint})" if hint else "")
    return meaning.error(
        f"{service}: {message}" if service else message,
        status=status,
        method=method,
        path=path,
        detail=detail,
        **({"retry_after": retry_after} if transient else {}),
    )


def _meaning_of(status: int | None) -> StatusMeaning:
    blames_the_client = (status or 0) // 100 == 4  # noqa: PLR2004
    default = StatusMeaning(PixverseFatalError if blames_the_client else PixverseTransientError)
    return STATUS_MEANINGS.get(status or 0, default)


def _name(status: int | None) -> str:
    return " ".join(filter(None, [str(status), _phrase(status)])) if status else "an error"


def _phrase(status: int | None) -> str:
    try:
        return HTTPStatus(status or 0).phrase
    except ValueError:
        return ""


def _says_the_same(detail: str | None, status: int | None) -> bool:
    """Return whether the server's words add nothing to the status, as "Unauthorized" adds nothing to 401."""
    words = (detail or "").strip(" .!").casefold()
    return words in {"", _phrase(status).casefold(), _name(status).casefold()}
