"""
Faults: the answers of a service in trouble.

Each function returns one kind of fault, to be injected::

    sim.inject(faults.rate_limit(retry_after=5), times=3)

or, over HTTP, ``POST /simulator/faults`` with ``{"fault": "rate_limit", "retry_after": 5, "times": 3}``.

A request that a fault answers is not carried out, except with those that are about how the usual answer
arrives (``slow``, ``drip``, ``throttle``, ``truncated``, ``cut``, ``short``, ``hold``, ``ignore_range``), and
with ``late_answer`` and ``lost_answer``, which are about answers that do not arrive in time or at all
although the job was accepted. Their counterpart is ``lost_request``.

Downloads of results meet faults, too: with ``path=".mp4"``, those of all videos, and with
``path="media/1.mp4"``, those of one.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, ParamSpec

from aiohttp import web

from airflow_pixverse.simulator.bodies import problem
from airflow_pixverse.simulator.fields import FieldError, header, integer, number
from airflow_pixverse.simulator.holds import HOLDS
from airflow_pixverse.simulator.protection import is_loopback
from airflow_pixverse.simulator.streams import IGNORES_RANGE, Cut, Dripping, Held, Oversized, Short, Throttled

P = ParamSpec("P")
Proceed = Callable[[], Awaitable[web.StreamResponse]]
Answer = Callable[[web.Request, Proceed], Awaitable[web.StreamResponse]]


class Fault(NamedTuple):
    """
    A way to answer.

    :param name: the name of the function that made it
    :param answer: returns the answer, given the request and a function that returns the usual answer
    """

    name: str
    answer: Answer


FAULTS: dict[str, Callable[..., Fault]] = {}


def _fault(make: Callable[P, Answer]) -> Callable[P, Fault]:
    @functools.wraps(make)
    def build(*args: P.args, **kwargs: P.kwargs) -> Fault:
        return Fault(make.__name__, make(*args, **kwargs))

    FAULTS[make.__name__] = build
    return build


def from_fields(name: str, options: Mapping[str, Any]) -> Fault:
    """
    Return the fault with this name.

    :param options: its parameters by name
    :raises FieldError: when there is no such fault, or it has other parameters
    """
    if name not in FAULTS:
        raise FieldError("fault", f"must be one of {', '.join(FAULTS)}")
    try:
        inspect.signature(FAULTS[name]).bind(**options)
    except TypeError as exc:
        raise FieldError(name, str(exc)) from None
    return FAULTS[name](**options)


def _fixed(
    status: int, body: str, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Answer:
    async def answer(_request: web.Request, _proceed: Proceed) -> web.Response:
        return web.Response(status=status, text=body, content_type=content_type, headers=headers)

    return answer


def _retry_after(value: object) -> str:
    return header("retry_after", value if isinstance(value, str) else str(number("retry_after", value)))


@_fault
def status(code: int, body: object = None, retry_after: float | str | None = None) -> Answer:
    """
    Answer with a status.

    :param code: 200 to 599
    :param body: a string is sent as plain text, anything else as JSON; without it, the API's own error
    :param retry_after: the ``Retry-After`` header, seconds or an HTTP date
    """
    integer("code", code, 200, 599)
    headers = {} if retry_after is None else {"Retry-After": _retry_after(retry_after)}
    if isinstance(body, str):
        return _fixed(code, body, "text/plain", headers)
    if body is None:
        phrases = {known.value: known.phrase for known in HTTPStatus}
        body = {"error": phrases.get(code, f"Status {code}"), "code": code}
    return _fixed(code, json.dumps(body), headers=headers)


@_fault
def rate_limit(retry_after: float | str | None = None) -> Answer:
    """Answer 429, with ``Retry-After`` (seconds or an HTTP date) if given."""
    return status(429, retry_after=retry_after).answer


@_fault
def html(code: int = 502) -> Answer:
    """Answer with a web page, as proxies do."""
    page = "<!DOCTYPE html>\n<html><head><title>Bad gateway</title></head><body>Bad gateway</body></html>\n"
    return _fixed(integer("code", code, 200, 599), page, "text/html")


@_fault
def broken_json() -> Answer:
    """Answer 200 with a body that claims to be JSON and stops in the middle."""
    return _fixed(200, '{"executing": [{"id": "user:1-')


@_fault
def error_in_200(error: object, code: object = None) -> Answer:
    """Answer 200 with an ``error``, a string or an object, and a ``code`` if given."""
    return _fixed(200, json.dumps({"error": error} | ({} if code is None else {"code": code})))


@_fault
def redirect(location: str) -> Answer:
    """Answer 302 to ``location``."""
    return _fixed(302, "", headers={"Location": header("location", location)})


@_fault
def echo_token(code: int = 401) -> Answer:
    """Answer with an error that repeats the ``Authorization`` header, which a client must not reveal."""
    integer("code", code, 200, 599)

    async def answer(request: web.Request, _proceed: Proceed) -> web.Response:
        return problem(code, f"Refused: Authorization: {request.headers.get('Authorization', '')}")

    return answer


@_fault
def slow(seconds: float) -> Answer:
    """Answer as usual, but only after ``seconds``."""
    number("seconds", seconds)

    async def answer(_request: web.Request, proceed: Proceed) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await proceed()

    return answer


@_fault
def reset() -> Answer:
    """Reset the connection (TCP RST) without an answer."""

    async def answer(request: web.Request, _proceed: Proceed) -> web.Response:
        if request.transport is not None:
            linger = struct.pack("ii", 1, 0)  # makes the system send RST instead of FIN
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            request.transport.abort()
        raise ConnectionAbortedError

    return answer


@_fault
def late_answer(seconds: float) -> Answer:
    """Carry out the request at once, but answer only after ``seconds``."""
    number("seconds", seconds)

    async def answer(_request: web.Request, proceed: Proceed) -> web.StreamResponse:
        response = await proceed()
        await asyncio.sleep(seconds)
        return response

    return answer


@_fault
def lost_answer(seconds: float = 0, code: int | None = None) -> Answer:
    """
    Carry out the request, but lose the answer: a job is accepted, and the client does not learn its id.

    :param seconds: after which the connection is reset; a client may give up before
    :param code: answer with this status instead, as a gateway does that has lost the service
    """
    return _lost(seconds, code, carried_out=True)


@_fault
def lost_request(seconds: float = 0, code: int | None = None) -> Answer:
    """
    Do not carry out the request, although it looks to the client like :func:`lost_answer`.

    :param seconds: after which the connection is reset; a client may give up before
    :param code: answer with this status instead, as a gateway does that cannot reach the service
    """
    return _lost(seconds, code, carried_out=False)


def _lost(seconds: float, code: int | None, *, carried_out: bool) -> Answer:
    number("seconds", seconds)
    answer_instead = reset().answer if code is None else status(code).answer

    async def answer(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        if carried_out:
            await proceed()
        await asyncio.sleep(seconds)
        return await answer_instead(request, proceed)

    return answer


@_fault
def truncated() -> Answer:
    """Answer as usual, but close the connection halfway through the body that ``Content-Length`` promised."""

    async def answer(_request: web.Request, proceed: Proceed) -> Cut:
        return Cut(await proceed())

    return answer


@_fault
def cut(after: int) -> Answer:
    """Answer as usual, but close the connection after the first ``after`` bytes of the body."""
    integer("after", after, 0)

    async def answer(_request: web.Request, proceed: Proceed) -> Cut:
        return Cut(await proceed(), after)

    return answer


@_fault
def short(after: int, chunked: bool = False) -> Answer:
    """
    Answer with the beginning of the body, as if it were all.

    :param after: how many bytes of it are sent
    :param chunked: no ``Content-Length`` tells how many they are
    """
    integer("after", after, 0)

    async def answer(_request: web.Request, proceed: Proceed) -> Short:
        return Short(await proceed(), after, chunked=chunked)

    return answer


@_fault
def hold(after: int = 0) -> Answer:
    """
    Answer as usual, but stop after the first ``after`` bytes of the body, until ``simulator.release()``.

    ``simulator.wait_for_held()`` waits until a request has come that far; over HTTP, ``GET`` and ``DELETE
    /simulator/held`` do both.
    """
    integer("after", after, 0)

    async def answer(request: web.Request, proceed: Proceed) -> Held:
        return Held(await proceed(), after, request.app[HOLDS])

    return answer


@_fault
def throttle(bytes_per_second: int) -> Answer:
    """Answer as usual, but send the body slowly."""
    integer("bytes_per_second", bytes_per_second, 1)

    async def answer(_request: web.Request, proceed: Proceed) -> Throttled:
        return Throttled(await proceed(), bytes_per_second)

    return answer


@_fault
def ignore_range() -> Answer:
    """Answer with the whole file, whatever part of it is asked for."""

    async def answer(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        request[IGNORES_RANGE] = True
        return await proceed()

    return answer


@_fault
def cdn_redirect(host: str = "localhost") -> Answer:
    """Answer 302 to the same path at another origin, this server by another name; there, answer as usual."""
    if not is_loopback(header("host", host)):
        raise FieldError("host", "must be another name of this machine, such as localhost")

    async def answer(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        if request.url.host == host:
            return await proceed()
        return web.Response(status=302, headers={"Location": str(request.url.with_host(host))})

    return answer


@_fault
def drip(seconds_per_byte: float) -> Answer:
    """Answer as usual, but send the body byte by byte, with ``seconds_per_byte`` before each."""
    number("seconds_per_byte", seconds_per_byte)

    async def answer(_request: web.Request, proceed: Proceed) -> Dripping:
        return Dripping(await proceed(), seconds_per_byte)

    return answer


@_fault
def oversized(size: int = 6 * 1024 * 1024) -> Answer:
    """Answer 200 with ``size`` bytes of valid JSON, chunked."""
    integer("size", size, 2)

    async def answer(_request: web.Request, _proceed: Proceed) -> Oversized:
        return Oversized(size)

    return answer
