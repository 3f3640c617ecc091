"""
Protection of ``/simulator/`` from web pages: no page of another site may control the simulator.

A browser lets any page send simple requests to this machine, and says in ``Origin`` and ``Sec-Fetch-Site``
where the page comes from; a request with a JSON body is not simple. If the name of a site is made to resolve
to this machine (DNS rebinding), the browser takes its pages for ours, but ``Host`` has the name of the site.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is ``localhost`` or a loopback address."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_request(request: web.Request) -> None:
    """
    Check that no page of another site can have sent the request.

    :raises aiohttp.web.HTTPForbidden: when it may come from such a page
    :raises aiohttp.web.HTTPUnsupportedMediaType: when it has a body that is not declared as JSON
    """
    if not (_names_this_machine(request.headers) and _is_of_same_origin(request.headers)):
        raise web.HTTPForbidden(reason="Requests of web pages of other sites are refused")
    if request.body_exists and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="Content-Type: must be application/json")


def _names_this_machine(headers: Mapping[str, str]) -> bool:
    try:
        return is_loopback(urlsplit(f"//{headers.get('Host', '')}").hostname or "")
    except ValueError:
        return False


def _is_of_same_origin(headers: Mapping[str, str]) -> bool:
    own = f"http://{headers.get('Host')}"
    return headers.get("Origin", own) == own and headers.get("Sec-Fetch-Site", "none") in {
        "none",
        "same-origin",
    }
