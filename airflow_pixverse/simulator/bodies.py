"""Reading the JSON body of a request, and refusing one."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from airflow_pixverse.simulator.fields import FieldError


async def read_fields(request: web.Request) -> dict[str, Any]:
    """
    Return the JSON object in the request's body; no body is an empty one.

    :raises FieldError: when the body is anything else
    """
    body = await request.read()
    try:
        fields = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise FieldError("body", "must be a JSON object")
    return fields


def problem(status: int, error: object) -> web.Response:
    """Return an error as the API writes it."""
    return web.json_response({"error": error, "code": status}, status=status)
