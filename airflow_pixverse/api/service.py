"""The service that a client talks to, as its errors name it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseNoConnectionError,
    PixverseTransientError,
)

if TYPE_CHECKING:
    from airflow_pixverse.api.network_errors import Trouble

_DOMAIN = "useapi.net"


class Service:
    """
    Whom a client asks.

    :param host: host of the service.
    :param label: what to call the client, such as ``connection 'pixverse_default'``; empty for nothing.
    """

    def __init__(self, host: str, label: str) -> None:
        is_known = host == _DOMAIN or host.endswith(f".{_DOMAIN}")
        self.name = f"{label} ({host})" if label else host
        self.doubt = "" if is_known else f"is {host} the host of {_DOMAIN}?"

    def error(
        self, method: str, path: str, trouble: Trouble, *, status: int | None = None, sent: bool = True
    ) -> PixverseError:
        """
        Return the error of a call that got no answer, or none that can be used.

        :param sent: the request, or a part of it, may have been sent.
        """
        doubt = f" ({self.doubt})" if trouble.wrong_host and self.doubt else ""
        transient = PixverseTransientError if sent else PixverseNoConnectionError
        kind = PixverseFatalError if trouble.fatal else transient
        message = f"{self.name}: {method} {path} {trouble.words}{doubt}"
        return kind(message, status=status, method=method, path=path)
