"""
The tree of errors: a class for each way to react.

A reaction follows from the class alone, so a new subclass needs no new ``except``. Only
:class:`PixverseNoConnectionError` says that nothing was sent, and nothing derives from it.

::

    PixverseError
    ├── PixverseFatalError              asking again will not help
    │   ├── PixverseAccessError         the token, the subscription, the account or the connection is at fault
    │   │   └── PixverseAuthError       the API token is refused (401, 403)
    │   ├── PixverseJobFailedError      a job ended without a result
    │   └── PixverseJobModeratedError   a job ended because moderation refused its input or its result
    ├── PixverseTransientError          asking again later may help; may carry ``retry_after``
    │   ├── PixverseLinkExpiredError    the URL of a result leads to nothing any more: ask for a new one
    │   ├── PixverseNoConnectionError   no connection could be made, so nothing was sent
    │   └── PixverseRateLimitError      too many requests (429)
    ├── PixverseNoResultError           a job has ended or is gone, and its result is not known
    └── PixverseUnknownOutcomeError     a job may have been accepted or not: look for it, submit nothing

Storage, the journal, the gate and submission have errors of their own below PixverseError: neither fatal nor
transient.
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple


class PixverseError(Exception):
    """
    The base of all errors of this package; itself, a call to the API gave no usable response.

    :param message: what failed, why, and what to do.
    :param status: HTTP status, or the ``code`` of an error in the body; None if there was no response.
    :param method: HTTP method of the call.
    :param path: path of the call.
    :param detail: message of the server, without the API token.
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

    @property
    def says_success(self) -> bool:
        """Whether the status of the response, which cannot be used, is that of a success (2xx)."""
        return (self.status or 0) // 100 == 2  # noqa: PLR2004


class PixverseFatalError(PixverseError):
    """Asking again will not help: the request, the token, the account or the connection is at fault."""


class PixverseAccessError(PixverseFatalError):
    """
    The token, the subscription, the account, the host or the connection is at fault, and not the request.

    A user can fix it, and then the same request works: a wait for a job that is paid for goes on.
    """


class PixverseAuthError(PixverseAccessError):
    """The API token is refused (401 or 403)."""


class _JobError(PixverseFatalError):
    """
    A job has ended without a result.

    :param job_id: id of the job.
    :param detail: the reason, as the service gives it; empty if unknown.
    """

    def __init__(self, message: str, *, job_id: str | None = None, **call: Any) -> None:
        super().__init__(message, **call)
        self.job_id = job_id


class PixverseJobFailedError(_JobError):
    """A job has failed. Waiting for it is of no use, and submitting it again is paid for again."""


class PixverseJobModeratedError(_JobError):
    """Moderation refused the input or the result of a job: the same input would be refused again."""


class PixverseTransientError(PixverseError):
    """
    Asking again later may help: the service, the network, or a body that cannot be read is at fault.

    :param retry_after: seconds the server asks to wait before the next call; None if unknown.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, **call: Any) -> None:
        super().__init__(message, **call)
        self.retry_after = retry_after


class PixverseLinkExpiredError(PixverseTransientError):
    """The URL of a result leads to nothing any more. The service may tell a new one for the same job."""


class PixverseNoConnectionError(PixverseTransientError):
    """No connection to the service could be made, so it has received nothing of the request."""


class PixverseRateLimitError(PixverseTransientError):
    """Too many requests, or every account is at capacity (429). A job that was submitted is not accepted."""


class PixverseNoResultError(PixverseError):
    """
    A job has ended, or the service does not know it, and no response tells its result.

    It is neither fatal nor transient: waiting longer is of no use, and a retry asks again.
    """


class PixverseUnknownOutcomeError(PixverseError):
    """
    A job was submitted, and whether the service accepted it is not known.

    It is neither fatal nor transient, so that code which catches those does not submit, and pay, again.

    :param answer: the JSON of the response; None if there was no response.
    """

    def __init__(self, message: str, *, answer: Any = None, **call: Any) -> None:
        super().__init__(message, **call)
        self.answer = answer


class StatusMeaning(NamedTuple):
    """
    The meaning of an HTTP status.

    :param error: class of the error to raise.
    :param hint: what a user can do; empty where the status says it all.
    :param refuses: whether a job that was submitted is certainly not accepted.
    :param of_account: whether another account may well take the job.
    """

    error: type[PixverseError]
    hint: str = ""
    refuses: bool = False
    of_account: bool = False


# The one place that knows the meaning of a status. A status without a row is fatal where it blames the client
# (4xx), and transient otherwise; whether a submit with that response was accepted is not known.
#
# To let tasks wait instead of fail, change the class to a transient one and keep `refuses=True`: it says that
# no job was accepted, so the slot is given back and the submit may be repeated.
STATUS_MEANINGS: Mapping[int, StatusMeaning] = MappingProxyType(
    {
        400: StatusMeaning(PixverseFatalError, "the request is refused as it is", refuses=True),
        401: StatusMeaning(PixverseAuthError, "check the API token", refuses=True),
        402: StatusMeaning(PixverseAccessError, "the useapi.net subscription has expired", refuses=True),
        403: StatusMeaning(PixverseAuthError, "check the API token", refuses=True),
        404: StatusMeaning(
            PixverseAccessError,
            "check the host, and that a PixVerse account is configured at useapi.net",
            refuses=True,
        ),
        405: StatusMeaning(PixverseFatalError, "check the path", refuses=True),
        408: StatusMeaning(PixverseTransientError),
        412: StatusMeaning(
            PixverseAccessError, "the account has no credits left", refuses=True, of_account=True
        ),
        422: StatusMeaning(PixverseFatalError, "the input is refused, by moderation perhaps", refuses=True),
        425: StatusMeaning(PixverseTransientError),
        429: StatusMeaning(PixverseRateLimitError, refuses=True),
        596: StatusMeaning(
            PixverseAccessError,
            "the account is in an error state at useapi.net",
            refuses=True,
            of_account=True,
        ),
    }
)


def is_not_accepted(error: PixverseError) -> bool:
    """Return whether a job whose submit ended with this error is certainly not accepted."""
    if error.status is not None:
        return _meaning_of(error.status).refuses
    # Without a response, a fatal error means that it could not even be sent.
    return isinstance(error, (PixverseFatalError, PixverseNoConnectionError))


def is_of_account(error: PixverseError) -> bool:
    """Return whether an error is of the account that was asked, so that another one may take the job."""
    return error.status is not None and _meaning_of(error.status).of_account


def unknown_outcome(error: PixverseError, answer: Any = None) -> PixverseUnknownOutcomeError:
    """
    Return the error of a submit after which it is not known whether a job is accepted.

    :param answer: the JSON of the response; None if there was no response.
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
    is_passing: bool = False,
) -> PixverseError:
    """
    Return the error for an HTTP status, or for the ``code`` of an error in a 200 body.

    :param status: HTTP status or ``code``; None for an error in a 200 body that has no code.
    :param detail: message of the server, already sanitized.
    :param hint: what a user can do, instead of the status's own hint.
    :param retry_after: seconds from the ``Retry-After`` header; None if unknown.
    :param service: the service, as errors name it.
    :param is_passing: whether another server than the service may have answered, so that the status does not
        count: the error is transient.
    """
    meaning = _meaning_of(status)
    transient = issubclass(meaning.error, PixverseTransientError)
    if is_passing and not transient:
        meaning, transient = StatusMeaning(PixverseTransientError), True
    hint = hint or meaning.hint
    said = "" if _says_the_same(detail, status) else f": {detail}"
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
    """Return whether the server's message adds nothing to the status, as "Unauthorized" to 401."""
    words = (detail or "").strip(" .!").casefold()
    return words in {"", _phrase(status).casefold(), _name(status).casefold()}
