"""
What went wrong on the way to the service, in plain words.

The texts of exceptions are not repeated: they hold addresses of objects, proxies' passwords, and whatever the
server sent. What they are is told by their classes.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPException, IncompleteRead
from typing import NamedTuple

import requests.exceptions as requests_errors
from urllib3 import exceptions as urllib3_errors

from airflow_pixverse.api.deadline import UnsupportedProxyError
from airflow_pixverse.api.transport import MAX_BODY, BodyTooLargeError


class Trouble(NamedTuple):
    """
    Why there is no answer.

    :param words: the end of a sentence that begins with the call.
    :param fatal: asking again will not help.
    :param wrong_host: the host may not be the service at all.
    """

    words: str
    fatal: bool = False
    wrong_host: bool = False


_Kinds = type[BaseException] | tuple[type[BaseException], ...]

# urllib3 says it of a proxy that broke off after it had got the request too.
_NO_PROXY = Trouble("got no answer: the proxy cannot be reached, or does not connect to the host")

# The first row decides of which any cause is an instance, so the more specific ones come first.
_TROUBLES: tuple[tuple[_Kinds, Trouble], ...] = (
    (BodyTooLargeError, Trouble(f"answered a body larger than {MAX_BODY} bytes")),
    (UnsupportedProxyError, Trouble("cannot be sent: a SOCKS proxy is not supported", fatal=True)),
    (
        (requests_errors.InvalidProxyURL, urllib3_errors.ProxySchemeUnknown),
        Trouble("cannot be sent: the address of the proxy cannot be used", fatal=True),
    ),
    (
        (requests_errors.InvalidURL, urllib3_errors.LocationValueError),
        Trouble("cannot be sent: the address of the host, or of its proxy, cannot be used", fatal=True),
    ),
    ((requests_errors.ProxyError, urllib3_errors.ProxyError), _NO_PROXY),
    (
        ssl.SSLCertVerificationError,
        Trouble("got no answer: the certificate of the host is not trusted", wrong_host=True),
    ),
    (
        (ssl.SSLError, requests_errors.SSLError, urllib3_errors.SSLError),
        Trouble("got no answer: no TLS connection comes about", wrong_host=True),
    ),
    (socket.gaierror, Trouble("got no answer: the name of the host is not known", wrong_host=True)),
    (urllib3_errors.NewConnectionError, Trouble("got no answer: cannot connect")),
    (
        (urllib3_errors.ConnectTimeoutError, requests_errors.ConnectTimeout),
        Trouble("got no answer: cannot connect within {connect:g} s"),
    ),
    (
        (urllib3_errors.ReadTimeoutError, requests_errors.ReadTimeout, TimeoutError),
        Trouble("got no answer: the service was silent for {read:g} s"),
    ),
    (
        (ConnectionError, IncompleteRead, urllib3_errors.IncompleteRead),
        Trouble("got no whole answer: the connection broke off"),
    ),
    (HTTPException, Trouble("got an answer that is not HTTP", wrong_host=True)),
    # Whatever else the system says of a connection, urllib3 wraps in this.
    (urllib3_errors.ProtocolError, Trouble("got no whole answer: the connection broke off")),
)
_NO_FREE_FILE = frozenset({errno.EMFILE, errno.ENFILE})
_UNKNOWN = Trouble("got no answer that can be used")
_CANNOT_READ_CERTIFICATES = Trouble("cannot be sent: the certificates to trust cannot be read", fatal=True)


def explain(error: BaseException, timeout: tuple[float, float], *, sent: bool = False) -> Trouble:
    """
    Return what the error of an HTTP library stands for.

    :param timeout: the seconds that were allowed for connecting, and for each part of the answer.
    :param sent: the request, or a part of it, was sent.
    """
    causes = list(_causes(error))
    for cause in causes:
        # It does not matter what was being done when the next file descriptor was needed.
        if isinstance(cause, OSError) and cause.errno in _NO_FREE_FILE:
            return Trouble(f"got no answer: no file descriptor is free ({cause.strerror})")
    for kinds, trouble in _TROUBLES:
        if sent and (trouble.fatal or trouble is _NO_PROXY):
            continue
        for cause in causes:
            if isinstance(cause, kinds):
                words = trouble.words.format(connect=timeout[0], read=timeout[1])
                reason = _reason(cause, causes)
                return trouble._replace(words=f"{words} ({reason})" if reason else words)
    # requests itself raises a bare OSError for this, and for nothing else.
    return _CANNOT_READ_CERTIFICATES if type(error) is OSError and not sent else _UNKNOWN


def _reason(cause: BaseException, causes: list[BaseException]) -> str:
    """Return the words of OpenSSL or the operating system, which hold nothing that the server sent."""
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
