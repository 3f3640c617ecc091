"""Addresses of the service: which ones can be used, and where a request to one of them really goes."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

DEFAULT_BASE_URL = "https://api.useapi.net"

_BASE_PATH = "/v2/pixverse"
_DEFAULT_PORTS = {"http": 80, "https": 443}


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


def origin(url: str) -> str:
    """
    Return scheme, host and port that a request to ``url`` is really sent to.

    Parsers disagree about odd addresses, so this looks at what ``requests`` makes of it. Return an empty
    string for what is no http(s) address, or not a plain one.
    """
    import requests

    if not is_plain(url):
        return ""
    try:
        sent = urlsplit(requests.Request("GET", url).prepare().url or "")
        port = sent.port or _DEFAULT_PORTS[sent.scheme]
        (sent.hostname or "").encode("idna")  # refuses labels that are empty or too long
    except (KeyError, ValueError):
        return ""
    return f"{sent.scheme}://{_bracketed(sent.hostname)}:{port}" if sent.hostname else ""


def is_plain(url: str) -> bool:
    """Return whether ``url`` holds neither backslashes, white space, control characters nor user info."""
    try:
        has_user_info = "@" in urlsplit(url).netloc
    except ValueError:  # no address at all, which is for others to say
        has_user_info = False
    return url.isprintable() and not has_user_info and not any(character in url for character in "\\ ")


def host_of(url: str) -> str:
    """Return the host, with its port where that is not the scheme's own: what a person calls the service."""
    parts = urlsplit(url)
    host = _bracketed(parts.hostname or "")
    return host if parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f"{host}:{parts.port}"


def is_loopback_http(url: str) -> bool:
    """Return whether ``url`` is plain http to this machine, which needs neither TLS nor a proxy."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        return False
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
