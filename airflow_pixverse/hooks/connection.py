"""What the fields of a PixVerse connection mean: the form Airflow shows, and the client they make."""

from __future__ import annotations

import ipaddress
import json
import math
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_pixverse import __version__
from airflow_pixverse.api.errors import PixverseFatalError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_pixverse.api.client import PixverseClient

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["login"],
    "relabeling": {"password": "API token", "host": "Origin", "schema": "http or https"},
    "placeholders": {
        "password": "user:<number>-<string>, as it is (percent-encode it only in a connection URI)",
        "host": "https://api.useapi.net",
        "extra": '{"timeout": 30, "max_retries": 3}',
    },
}

# Airflow 3.2 and later make form fields of these; elsewhere they are keys of the Extra JSON.
CONN_FIELDS: dict[str, Any] = {
    "timeout": {
        "label": "Timeout",
        "description": "Seconds to wait for each part of an answer (30 when empty).",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "max_retries": {
        "label": "Max retries",
        "description": "How often a call is repeated after transient trouble (3 when empty).",
        "schema": {"type": ["integer", "null"], "minimum": 0},
    },
    "allow_http": {
        "label": "Allow http",
        "description": "Send the token unencrypted to a host that is not this machine.",
        "schema": {"type": ["boolean", "null"]},
    },
    "proxy": {
        "label": "Proxy",
        "description": "URL of a proxy; the environment decides when empty.",
        "schema": {"type": ["string", "null"]},
    },
    "ca_bundle": {
        "label": "CA bundle",
        "description": "File or folder of certificates to trust instead of the default ones.",
        "schema": {"type": ["string", "null"]},
    },
}


_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def client_from_connection(conn: Connection, *, max_retries: int | None = None) -> PixverseClient:
    """
    Make a client of a connection. Asks neither the network nor Airflow.

    :param conn: password: API token; host, schema, port: origin of the service; extra: see ``CONN_FIELDS``.
    :param max_retries: overrides the connection's own.
    :raises PixverseFatalError: the connection cannot be used; the message names connection and field.
    """
    from airflow import __version__ as airflow_version

    from airflow_pixverse.api.client import (
        DEFAULT_MAX_RETRIES,
        DEFAULT_TIMEOUT,
        PixverseClient,
        checked_base_url,
        checked_token,
    )

    @contextmanager
    def reading(field: str) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            message = f"connection {conn.conn_id!r} cannot be used: {field}: {error}"
            raise PixverseFatalError(message) from None

    with reading("password"):
        token = checked_token(conn.password or "")
    with reading("extra"):
        extra = _extra(conn.extra)
    with reading("extra field timeout"):
        timeout = _number(extra.get("timeout"), default=DEFAULT_TIMEOUT[1])
        if timeout <= 0:
            raise ValueError("must be more than 0 seconds")
    with reading("extra field max_retries"):
        retries = _number(extra.get("max_retries"), default=DEFAULT_MAX_RETRIES)
        if retries < 0 or retries != int(retries):
            raise ValueError("must be a whole number, 0 or more")
    with reading("extra field allow_http"):
        allow_http = _flag(extra.get("allow_http"))
    with reading("extra field proxy"):
        proxy = _proxy(extra.get("proxy"))
    with reading("extra field ca_bundle"):
        ca_bundle = _existing_path(extra.get("ca_bundle"))
    with reading("schema"):
        scheme = _scheme(conn.schema)
    with reading("host"):
        base_url = checked_base_url(_address(conn, scheme))
        if not allow_http and _is_exposed(base_url):
            raise ValueError(
                f"plain http would send the token unencrypted to {urlsplit(base_url).hostname}; "
                "use https, or set allow_http in the extra"
            )

    return PixverseClient(
        token,
        base_url,
        timeout=(min(timeout, DEFAULT_TIMEOUT[0]), timeout),
        max_retries=int(retries) if max_retries is None else max_retries,
        proxy=proxy,
        ca_bundle=ca_bundle,
        user_agent=f"airflow-pixverse/{__version__} "
        f"(apache-airflow/{airflow_version}; python/{platform.python_version()})",
    )


def _extra(text: str | None) -> dict[str, Any]:
    # Not conn.extra_dejson, which turns broken JSON into {} and makes a synchronous supervisor call.
    if not (text or "").strip():
        return {}
    try:
        extra = json.loads(text or "")
    except ValueError as error:
        raise ValueError(f"it is not valid JSON ({error})") from None
    if not isinstance(extra, dict):
        raise ValueError('it must be a JSON object such as {"timeout": 30}')
    return extra


def _number(value: Any, *, default: float) -> float:
    if value is None or value == "":
        return default
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"must be a number, not {value!r}")
    return number


def _flag(value: Any) -> bool:
    text = str(value).strip().lower()
    if value is None or text in _FALSE | {""}:
        return False
    if text in _TRUE:
        return True
    raise ValueError(f"must be true or false, not {value!r}")


def _proxy(value: Any) -> str | None:
    if not value:
        return None
    # The value is not shown: a proxy address may hold a password.
    if not isinstance(value, str) or not urlsplit(value).hostname:
        raise ValueError("must be an address such as http://proxy.example.com:3128")
    return value


def _existing_path(value: Any) -> str | None:
    if not value:
        return None
    if not isinstance(value, str) or not Path(value).exists():
        raise ValueError(f"no such file or folder: {value!r}")
    return value


def _scheme(value: str | None) -> str:
    scheme = (value or "").strip().lower() or "https"
    if scheme not in {"http", "https"}:
        raise ValueError(f"must be http or https, not {value!r}")
    return scheme


def _address(conn: Connection, scheme: str) -> str:
    """Put host, schema and port together, which may also all stand in the host."""
    from airflow_pixverse.api.client import DEFAULT_BASE_URL

    host = (conn.host or "").strip()
    if not host:
        return DEFAULT_BASE_URL
    if "://" not in host:
        host = f"{scheme}://[{host}]" if host.count(":") > 1 and "[" not in host else f"{scheme}://{host}"
    parts = urlsplit(host)
    if conn.port and not parts.port:  # port 0 is no port
        parts = parts._replace(netloc=f"{parts.netloc}:{conn.port}")
    return parts.geturl()


def _is_exposed(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return False
    try:
        return not ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True
