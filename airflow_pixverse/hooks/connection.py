"""The fields of a PixVerse connection, and the clients made from them."""

from __future__ import annotations

import logging
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_pixverse import __version__
from airflow_pixverse.api.errors import PixverseAccessError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.media import MediaClient
    from airflow_pixverse.hooks.extra import ConnectionExtra

CONN_TYPE = "pixverse"

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["login"],
    "relabeling": {"password": "API token", "host": "Origin", "schema": "http or https"},
    "placeholders": {
        "password": "user:<number>-<string>, as it is (percent-encode it only in a connection URI)",
        "host": "https://api.useapi.net",
        "extra": '{"timeout": 30, "max_retries": 3}',
    },
}

_MAX_SHOWN = 100  # characters
_MAX_PORT = 65535
_ANY_CONN_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,49}")

_log = logging.getLogger(__name__)


def connection_label(conn_id: str | None) -> str:
    """Return the name of a connection for a message, on one line whatever the id holds."""
    return f"connection {_shown(str(conn_id))!r}"


def client_from_connection(conn: Connection, *, max_retries: int | None = None) -> PixverseClient:
    """
    Make a client from a connection, without a call to the network or to Airflow. It reads the ``ca_bundle``.

    :param conn: password: API token; host, schema, port: origin of the service; extra: see
        :class:`~airflow_pixverse.hooks.extra.ConnectionExtra`.
    :param max_retries: retries of a call; None for those of the connection.
    :raises PixverseAccessError: the connection cannot be used. The message names connection and field, and
        never repeats the value of the field.
    """
    from airflow_pixverse.api.client import DEFAULT_MAX_RETRIES, PixverseClient
    from airflow_pixverse.api.service import checked_token
    from airflow_pixverse.hooks.extra import parse_extra

    label = connection_label(conn.conn_id)

    @contextmanager
    def reading(field: str) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise PixverseAccessError(f"{label} cannot be used: {field}: {error}") from None

    # The type comes first: the password of another service must not be looked at, let alone sent.
    with reading("connection type"):
        _check_type(conn.conn_type)
    with reading("password"):
        password = conn.password or ""
        # Airflow 3.3.1 tests a connection with the mask when a user presses Test, and exports hold it.
        if password and not password.strip("*"):
            raise ValueError("it is the mask that Airflow shows in its place: type the API token again")
        token = checked_token(password)
    with reading("extra"):
        extra, unknown_keys = parse_extra(conn.extra)
    with reading("schema"):
        scheme = (conn.schema or "").strip().lower() or "https"
        if scheme not in {"http", "https"}:
            raise ValueError("must be http or https")
    with reading("port"):
        port = conn.port or None  # port 0 is no port
        if port and not (isinstance(port, int) and 0 < port <= _MAX_PORT):
            raise ValueError(f"must be a number from 1 to {_MAX_PORT}")
    with reading("host"):
        base_url = _base_url(conn.host, scheme, port, allow_http=bool(extra.allow_http))

    if unknown_keys:
        _warn_of_unknown_keys(label, tuple(unknown_keys))
    if max_retries is None:
        max_retries = DEFAULT_MAX_RETRIES if extra.max_retries is None else extra.max_retries
    return PixverseClient(
        token,
        base_url,
        timeout=_timeout(extra),
        max_retries=max_retries,
        proxy=extra.proxy,
        ca_bundle=extra.ca_bundle,
        user_agent=_user_agent(),
        label=label,
    )


def media_client_from_connection(conn: Connection) -> MediaClient:
    """
    Make a client that reads the files of results, without the token.

    :param conn: a connection that :func:`client_from_connection` can use; only its extra is read.
    """
    from airflow_pixverse.api.media import MediaClient
    from airflow_pixverse.hooks.extra import parse_extra

    extra, _ = parse_extra(conn.extra)
    return MediaClient(
        timeout=_timeout(extra),
        proxy=extra.proxy,
        ca_bundle=extra.ca_bundle,
        allow_private=bool(extra.allow_private_results),
        user_agent=_user_agent(),
    )


def _timeout(extra: ConnectionExtra) -> tuple[float, float]:
    """Return the seconds to wait for a connection, and for each part of a response."""
    from airflow_pixverse.api.http.deadline import DEFAULT_TIMEOUT

    timeout = DEFAULT_TIMEOUT[1] if extra.timeout is None else extra.timeout
    return min(timeout, DEFAULT_TIMEOUT[0]), timeout


def _user_agent() -> str:
    from airflow import __version__ as airflow_version

    python = platform.python_version()
    return f"airflow-pixverse/{__version__} (apache-airflow/{airflow_version}; python/{python})"


def _shown(text: str) -> str:
    """Return a text without control characters, and not too long."""
    printable = "".join(character for character in text if character.isprintable())
    return printable if len(printable) <= _MAX_SHOWN else f"{printable[:_MAX_SHOWN]}..."


@lru_cache(maxsize=256)  # a triggerer reads a connection every minute, and says so once
def _warn_of_unknown_keys(label: str, keys: tuple[str, ...]) -> None:
    from airflow_pixverse.hooks.extra import ConnectionExtra

    _log.warning(
        "%s: its extra holds keys that mean nothing here: %s (known are %s)",
        label,
        ", ".join(map(_shown, keys[:10])),
        ", ".join(ConnectionExtra.model_fields),
    )


def _check_type(conn_type: str | None) -> None:
    if conn_type == CONN_TYPE:
        return
    remedy = (
        f'choose "PixVerse" as its type under Admin > Connections, or set conn_type to "{CONN_TYPE}" where '
        "it is defined"
    )
    if not conn_type:
        raise ValueError(f"it has none: {remedy}")
    # The user may have put a token there.
    name = repr(conn_type) if _ANY_CONN_TYPE.fullmatch(conn_type) else "another one"
    raise ValueError(
        f"it is {name}, and what belongs to another service is not sent: use a connection of the type "
        f"{CONN_TYPE!r}, or, if this one holds the API token of useapi.net, {remedy}"
    )


def _base_url(host: str | None, scheme: str, port: int | None, *, allow_http: bool) -> str:
    """Join scheme, host and port, which may also all be in the host."""
    from airflow_pixverse.api.http.address import is_loopback_http
    from airflow_pixverse.api.service import DEFAULT_BASE_URL, checked_base_url

    host = (host or "").strip()
    if not host:
        return DEFAULT_BASE_URL
    if "://" not in host:
        host = f"{scheme}://[{host}]" if host.count(":") > 1 and "[" not in host else f"{scheme}://{host}"
    try:
        parts = urlsplit(host)
        if port and not parts.port:
            parts = parts._replace(netloc=f"{parts.netloc}:{port}")
        if "%" in parts.netloc:  # a percent-encoded token, perhaps; no host needs it
            raise ValueError
        base_url = checked_base_url(parts.geturl())
    except ValueError:  # its text may repeat the value
        raise ValueError(
            f"must be an address such as {DEFAULT_BASE_URL}; the API token belongs in the password"
        ) from None
    if not allow_http and urlsplit(base_url).scheme == "http" and not is_loopback_http(base_url):
        raise ValueError(
            "plain http would send the token unencrypted to another machine; use https, "
            "or set allow_http in the extra"
        )
    return base_url
