"""
Faults: the answers of a service in trouble.

Each function returns one kind of fault, to be injected::

    sim.inject(faults.rate_limit(retry_after=5), times=3)

or, over HTTP, ``POST /simulator/faults`` with ``{"fault": "rate_limit", "retry_after": 5, "times": 3}``.

Most faults answer in place of the service, which does not carry out the request. It does carry it out:

- when the fault changes how the usual answer arrives: ``slow``, ``drip``, ``throttle``, ``truncated``,
  ``cut``, ``short``, ``hold``, ``ignore_range``
- when the fault spoils a field of the answer: ``garbled``
- when the answer is late or lost, although the job was accepted: ``late_answer``, ``lost_answer``; their
  counterpart is ``lost_request``

Downloads of results meet faults, too: ``path=".mp4"`` matches all videos, ``path="media/1.mp4"`` only one.
"""

import asyncio
import functools
import inspect
import json
import math
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, ParamSpec

from aiohttp import web

from airflow_pixverse.simulator.errors import FieldError, header, integer, is_loopback, number, problem, text
from airflow_pixverse.simulator.streams import BLOCK, HOLDS, Streamed

P = ParamSpec("P")
Send = Callable[[web.Request, Streamed], Awaitable[None]]
Proceed = Callable[[], Awaitable[web.StreamResponse]]
Answer = Callable[[web.Request, Proceed], Awaitable[web.StreamResponse]]

# The key of a request that is answered as if it had asked for the whole file.
IGNORES_RANGE = "ignores_range"


class Fault(NamedTuple):
    """A way to answer: ``answer`` gets the request and a function that returns the usual answer."""

    name: str
    answer: Answer


FAULTS: dict[str, Callable[..., Fault]] = {}


def _fault(make: Callable[P, Answer]) -> Callable[P, Fault]:
    @functools.wraps(make)
    def build(*args: P.args, **kwargs: P.kwargs) -> Fault:
        return Fault(make.__name__, make(*args, **kwargs))

    FAULTS[make.__name__] = build
    return build


def make_fault(name: str, options: Mapping[str, Any]) -> Fault:
    """Return the fault with this name and these parameters, or raise :class:`FieldError`."""
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


@_fault
def status(
    code: int, body: object = None, retry_after: float | str | None = None, content_type: str | None = None
) -> Answer:
    """
    Answer with a status.

    :param code: 200 to 599
    :param body: a string is sent as plain text, anything else as JSON; None for the API's own error
    :param retry_after: the ``Retry-After`` header, seconds or an HTTP date
    :param content_type: the type of the body, in place of plain text or JSON; without parameters
    """
    integer("code", code, 200, 599)
    headers = {}
    if retry_after is not None:
        value = retry_after if isinstance(retry_after, str) else str(number("retry_after", retry_after))
        headers["Retry-After"] = header("retry_after", value)
    if body is None:
        phrases = {known.value: known.phrase for known in HTTPStatus}
        body = {"error": phrases.get(code, f"Status {code}"), "code": code}
    text, usual = (body, "text/plain") if isinstance(body, str) else (json.dumps(body), "application/json")
    sent_type = usual if content_type is None else header("content_type", content_type)
    return _fixed(code, text, sent_type, headers)


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
def lost_answer(seconds: float = 0, code: int | None = None, body: object = None) -> Answer:
    """
    Carry out the request, but lose the answer: a job is accepted, and the client does not learn its id.

    :param seconds: after which the connection is reset; a client may give up before
    :param code: answer with this status instead, as a gateway does that has lost the service
    :param body: the body of that answer, as for :func:`status`
    """
    return _lost(seconds, code, body, carried_out=True)


@_fault
def lost_request(seconds: float = 0, code: int | None = None, body: object = None) -> Answer:
    """
    Do not carry out the request, although it looks to the client like :func:`lost_answer`.

    The parameters are those of :func:`lost_answer`.
    """
    return _lost(seconds, code, body, carried_out=False)


def _lost(seconds: float, code: int | None, body: object, *, carried_out: bool) -> Answer:
    number("seconds", seconds)
    answer_instead = reset().answer if code is None else status(code, body).answer

    async def answer(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        if carried_out:
            await proceed()
        await asyncio.sleep(seconds)
        return await answer_instead(request, proceed)

    return answer


_GARBLINGS: Mapping[str, Callable[[str], str]] = {
    "missing": lambda _value: "",
    "empty": lambda _value: "",
    "cut": lambda value: value[: len(value) // 2],
    "upper": str.upper,
}


@_fault
def garbled(field: str, how: str) -> Answer:
    """
    Answer as usual, but with a text that cannot be recognized, in every object that has it.

    :param field: the name of the text, such as ``replyRef``
    :param how: ``missing``, ``empty``, ``cut`` (its first half) or ``upper`` (in upper case)
    """
    text("field", field)
    if how not in _GARBLINGS:
        raise FieldError("how", f"must be one of {', '.join(_GARBLINGS)}")

    def garble(fields: dict[str, Any]) -> dict[str, Any]:
        if isinstance(fields.get(field), str):
            known = fields.pop(field)
            fields |= {} if how == "missing" else {field: _GARBLINGS[how](known)}
        return fields

    async def answer(_request: web.Request, proceed: Proceed) -> web.StreamResponse:
        usual = await proceed()
        if not isinstance(usual, web.Response) or usual.text is None:
            return usual
        garbled = json.loads(usual.text, object_hook=garble)
        return web.json_response(garbled, status=usual.status)

    return answer


def _copied(send: Send | None = None, *, chunked: bool = False, limit: float = math.inf) -> Answer:
    """Answer as usual, but let ``send`` send the body, or at most ``limit`` bytes of it."""

    async def answer(request: web.Request, proceed: Proceed) -> Streamed:
        usual, send_body = await proceed(), send and functools.partial(send, request)
        return Streamed.copy_of(usual, send_body, chunked=chunked, limit=limit)

    return answer


@_fault
def truncated() -> Answer:
    """Answer as usual, but close the connection halfway through the body that ``Content-Length`` promised."""
    return _cutting(None)


@_fault
def cut(after: int, chunked: bool = False) -> Answer:
    """
    Answer as usual, but close the connection before the end of the body.

    :param after: how many bytes of the body are sent
    :param chunked: whether no ``Content-Length`` promises more
    """
    return _cutting(integer("after", after, 0), chunked=chunked)


def _cutting(after: int | None, *, chunked: bool = False) -> Answer:
    async def send(request: web.Request, response: Streamed) -> None:
        await response.send(0, response.size // 2 if after is None else after)
        if request.transport:
            # Before a last chunk, which would say that the body is whole.
            request.transport.close()

    return _copied(send, chunked=chunked)


@_fault
def short(after: int, chunked: bool = False) -> Answer:
    """
    Answer with the beginning of the body, as if it were all.

    :param after: how many bytes of the body are sent
    :param chunked: whether no ``Content-Length`` says so
    """
    return _copied(chunked=chunked, limit=integer("after", after, 0))


@_fault
def hold(after: int = 0) -> Answer:
    """
    Answer as usual, but stop after the first ``after`` bytes of the body, until ``simulator.release()``.

    ``simulator.wait_for_held()`` waits until a request has come that far; over HTTP, ``GET`` and ``DELETE
    /simulator/held`` do both.
    """
    integer("after", after, 0)

    async def send(request: web.Request, response: Streamed) -> None:
        await response.send(0, after)
        await request.app[HOLDS].hold()
        await response.send(after, response.size)

    return _copied(send)


@_fault
def throttle(bytes_per_second: int) -> Answer:
    """Answer as usual, but send the body slowly, in ten pieces a second or byte by byte."""
    step = max(1, integer("bytes_per_second", bytes_per_second, 1) // 10)
    return _in_steps(step, step / bytes_per_second)


@_fault
def drip(seconds_per_byte: float) -> Answer:
    """Answer as usual, but send the body byte by byte, with ``seconds_per_byte`` before each."""
    return _in_steps(1, number("seconds_per_byte", seconds_per_byte))


def _in_steps(step: int, pause: float) -> Answer:
    async def send(_request: web.Request, response: Streamed) -> None:
        for start in range(0, response.size, step):
            await asyncio.sleep(pause)
            await response.send(start, start + step)

    return _copied(send)


@_fault
def ignore_range() -> Answer:
    """Answer with the whole file, although the request asks for a part of it."""

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
def oversized(size: int = 6 * 1024 * 1024) -> Answer:
    """Answer 200 with ``size`` bytes of valid JSON, chunked: an array that is full of white space."""
    integer("size", size, 2)

    def read(_start: int, _stop: int) -> Iterator[bytes]:
        yield b"["
        for sent in range(0, size - 2, BLOCK):
            yield b" " * min(BLOCK, size - 2 - sent)
        yield b"]"

    async def answer(_request: web.Request, _proceed: Proceed) -> Streamed:
        return Streamed(size, read, chunked=True, headers={"Content-Type": "application/json"})

    return answer
