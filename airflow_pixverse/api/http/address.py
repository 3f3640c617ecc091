"""Plain http(s) addresses, and the origins that requests to them really go to."""

import ipaddress
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> str:
    """
    Return scheme, host and port that a request to ``url`` is really sent to; empty if it is no plain address.

    Parsers disagree about odd addresses, so this looks at what ``requests`` makes of it.
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
    """Return the host, with its port where that is not the scheme's own."""
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
