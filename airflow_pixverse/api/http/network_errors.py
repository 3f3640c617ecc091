"""
Failures of HTTP libraries, in plain words.

Messages are made from the classes of exceptions. Their texts are not repeated, since they hold addresses of
objects, passwords of proxies, and whatever the server sent.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPException, IncompleteRead
from typing import NamedTuple

import requests.exceptions as requests_errors
from urllib3 import exceptions as urllib3_errors

from airflow_pixverse.api.http.deadline import UnsupportedProxyError
from airflow_pixverse.api.http.transport import MAX_BODY, BodyTooLargeError


class Failure(NamedTuple):
    """
    The reason why there is no response.

    :param message: end of a sentence that begins with the call.
    :param fatal: asking again will not help.
    :param wrong_host: the host may not be the service at all.
    """

    message: str
    fatal: bool = False
    wrong_host: bool = False


_Kinds = type[BaseException] | tuple[type[BaseException], ...]

# urllib3 says it of a proxy that broke off after it had got the request too.
_NO_PROXY = Failure("got no answer: the proxy cannot be reached, or does not connect to the host")

# The first row wins of which any cause is an instance, so the more specific ones come first.
_FAILURES: tuple[tuple[_Kinds, Failure], ...] = (
    (BodyTooLargeError, Failure(f"answered a body larger than {MAX_BODY} bytes")),
    (UnsupportedProxyError, Failure("cannot be sent: a SOCKS proxy is not supported", fatal=True)),
    (
        (requests_errors.InvalidProxyURL, urllib3_errors.ProxySchemeUnknown),
        Failure("cannot be sent: the address of the proxy cannot be used", fatal=True),
    ),
    (
        (requests_errors.InvalidURL, urllib3_errors.LocationValueError),
        Failure("cannot be sent: the address of the host, or of its proxy, cannot be used", fatal=True),
    ),
    ((requests_errors.ProxyError, urllib3_errors.ProxyError), _NO_PROXY),
    (
        ssl.SSLCertVerificationError,
        Failure("got no answer: the certificate of the host is not trusted", wrong_host=True),
    ),
    (
        (ssl.SSLError, requests_errors.SSLError, urllib3_errors.SSLError),
        Failure("got no answer: no TLS connection can be made", wrong_host=True),
    ),
    (socket.gaierror, Failure("got no answer: the name of the host is not known", wrong_host=True)),
    (urllib3_errors.NewConnectionError, Failure("got no answer: cannot connect")),
    (
        (urllib3_errors.ConnectTimeoutError, requests_errors.ConnectTimeout),
        Failure("got no answer: cannot connect within {connect:g} s"),
    ),
    (
        (urllib3_errors.ReadTimeoutError, requests_errors.ReadTimeout, TimeoutError),
        Failure("got no answer: the service was silent for {read:g} s"),
    ),
    (
        (ConnectionError, IncompleteRead, urllib3_errors.IncompleteRead),
        Failure("got no whole answer: the connection broke off"),
    ),
    (HTTPException, Failure("got an answer that is not HTTP", wrong_host=True)),
    # Whatever else the system says of a connection, urllib3 wraps in this.
    (urllib3_errors.ProtocolError, Failure("got no whole answer: the connection broke off")),
)
_NO_FREE_FILE = frozenset({errno.EMFILE, errno.ENFILE})
_UNKNOWN = Failure("got no answer that can be used")
_CANNOT_READ_CERTIFICATES = Failure("cannot be sent: the certificates to trust cannot be read", fatal=True)


def explain(error: BaseException, timeout: tuple[float, float], *, sent: bool = False) -> Failure:
    """
    Return the failure that an error of an HTTP library stands for.

    :param timeout: the seconds that were allowed for connecting, and for each part of the answer.
    :param sent: the request, or a part of it, was sent.
    """
    causes = list(_causes(error))
    for cause in causes:
        # It does not matter what was being done when the next file descriptor was needed.
        if isinstance(cause, OSError) and cause.errno in _NO_FREE_FILE:
            return Failure(f"got no answer: no file descriptor is free ({cause.strerror})")
    for kinds, failure in _FAILURES:
        if sent and (failure.fatal or failure is _NO_PROXY):
            continue
        for cause in causes:
            if isinstance(cause, kinds):
                message = failure.message.format(connect=timeout[0], read=timeout[1])
                reason = _reason(cause, causes)
                return failure._replace(message=f"{message} ({reason})" if reason else message)
    # requests itself raises a bare OSError for this, and for nothing else.
    return _CANNOT_READ_CERTIFICATES if type(error) is OSError and not sent else _UNKNOWN


def _reason(cause: BaseException, causes: list[BaseException]) -> str:
    """Return the text of OpenSSL or the operating system, which holds nothing that the server sent."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, (socket.gaierror, urllib3_errors.NewConnectionError)):
        system_errors = (error for error in causes if isinstance(error, OSError) and error.errno is not None)
        return next((error.strerror or "" for error in system_errors), "")
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return the error and all that led to it, however the libraries have wrapped it."""
    pending, seen = [error], set[int]()
    while pending:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        wrapped = (*current.args, current.__cause__, current.__context__)
        pending += [cause for cause in wrapped if isinstance(cause, BaseException)]
