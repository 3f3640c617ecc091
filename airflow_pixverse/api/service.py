"""The service that a client talks to: its address, the token, and its name in errors."""

import re
from urllib.parse import urlsplit

from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseNoConnectionError,
    PixverseTransientError,
)
from airflow_pixverse.api.http.address import origin
from airflow_pixverse.api.http.network_errors import Failure

DEFAULT_BASE_URL = "https://api.useapi.net"

_DOMAIN = "useapi.net"
_BASE_PATH = "/v2/pixverse"
_TOKEN = re.compile(r"user:([0-9]{1,18})-")


class Service:
    """
    The service, as errors name it.

    :param host: host of the service.
    :param label: name of the client, such as ``connection 'pixverse_default'``; empty for none.
    """

    def __init__(self, host: str, label: str) -> None:
        is_known = host == _DOMAIN or host.endswith(f".{_DOMAIN}")
        self.name = f"{label} ({host})" if label else host
        self.doubt = "" if is_known else f"is {host} the host of {_DOMAIN}?"

    def error(
        self, method: str, path: str, failure: Failure, *, status: int | None = None, sent: bool = True
    ) -> PixverseError:
        """
        Return the error of a call that got no usable response.

        :param sent: whether the request, or a part of it, may have been sent.
        """
        doubt = f" ({self.doubt})" if failure.wrong_host and self.doubt else ""
        transient = PixverseTransientError if sent else PixverseNoConnectionError
        kind = PixverseFatalError if failure.fatal else transient
        message = f"{self.name}: {method} {path} {failure.message}{doubt}"
        return kind(message, status=status, method=method, path=path)


def checked_base_url(base_url: str) -> str:
    """
    Return the address that paths are appended to: with the API's own path where ``base_url`` has none.

    :raises ValueError: it is no plain http(s) address. The message does not repeat it, since people paste
        tokens into the wrong field.
    """
    if not origin(base_url) or (parts := urlsplit(base_url)).query or parts.fragment:
        raise ValueError(f"base_url is no plain address like {DEFAULT_BASE_URL} or http://127.0.0.1:8900")
    path = parts.path.rstrip("/") or _BASE_PATH
    return f"{parts.scheme}://{parts.netloc}{path}/"


def checked_token(token: str) -> str:
    """
    Return the token as it is sent.

    :raises ValueError: it cannot be a token; the message does not show it.
    """
    token = token.strip()
    if not token:
        raise ValueError("token is empty: give the API token of useapi.net")
    if token.lower().startswith("bearer "):
        raise ValueError("token begins with the word Bearer: give the API token alone")
    # requests would print the whole header in its error.
    if not (token.isascii() and token.isprintable()):
        raise ValueError("token holds control or non-ASCII characters: copy the API token again")
    return token


def user_of_token(token: str) -> str | None:
    """Return the number of the user that a token names; None if unknown."""
    match = _TOKEN.match(token)
    return match.group(1) if match else None
