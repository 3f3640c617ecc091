"""Errors of the service, and the checks that raise them when a value cannot be used."""

import ipaddress
import re
import sys
from collections.abc import Callable
from typing import Annotated, ClassVar, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

M = TypeVar("M", bound=BaseModel)

LARGEST = sys.float_info.max

Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class ServiceError(Exception):
    """An error that the service answers with a status."""

    status: ClassVar[int]


class FieldError(ServiceError, ValueError):
    """
    A value that cannot be used.

    :param field: the field, parameter or option that has this value
    :param problem: how the value must be instead
    """

    status = 400

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class LinkExpiredError(ServiceError):
    """The URL of a file cannot be used, or not any more."""

    status = 403


class UnknownAccountError(ServiceError, LookupError):
    """No account has this e-mail."""

    status = 404


class UnknownJobError(ServiceError, LookupError):
    """No job with this id is executing, or no job ever had it."""

    status = 404


class CreditsUsedUpError(ServiceError):
    """The account has fewer credits than the job costs."""

    status = 412


class ModeratedPromptError(ServiceError):
    """Moderation refuses the prompt."""

    status = 422


class AtCapacityError(ServiceError):
    """No slot is free, at the requested account or at any, or PixVerse says so."""

    status = 429


class AccountError(ServiceError):
    """The account has a pending error, and takes no job until the user fixes it."""

    status = 596


def problem(status: int, error: object) -> web.Response:
    """Return an error as the API writes it."""
    return web.json_response({"error": error, "code": status}, status=status)


def integer(field: str, value: object, low: int, high: float = LARGEST) -> int:
    """Return ``value`` if it is a whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise FieldError(field, f"must be a whole number {_span(low, high)}")
    return value


def number(field: str, value: object, high: float = LARGEST) -> float:
    """Return ``value`` if it is a finite number from 0 to ``high``, such as a duration in seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
        raise FieldError(field, f"must be a number {_span(0, high)}")
    return value


def _span(low: int, high: float) -> str:
    return f"from {low} to {high}" if high < LARGEST else f"of at least {low}"


def text(field: str, value: object, limit: int = 1024) -> str:
    """Return ``value`` if it is a string of 1 to ``limit`` characters."""
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise FieldError(field, f"must be a text of 1 to {limit} characters")
    return value


def header(field: str, value: object) -> str:
    """Return ``value`` if it is a string that an HTTP header can carry unchanged."""
    if not isinstance(value, str) or not re.fullmatch(r"[!-~](?:[ -~]*[!-~])?", value):
        raise FieldError(field, "must be printable ASCII text without white space around it")
    return value


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is ``localhost`` or a loopback address."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Body(BaseModel):
    """A JSON object; its keys are written ``likeThis``, and its values are not converted."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True)


async def read_body(request: web.Request, model: type[M]) -> M:
    """Return the body of the request, or raise :class:`FieldError`; no body is an empty object."""
    content = await request.read() or b"{}"
    return _validated(lambda: model.model_validate_json(content))


def read_query(request: web.Request, model: type[M]) -> M:
    """Return the query of the request, or raise :class:`FieldError`."""
    return _validated(lambda: model.model_validate(dict(request.query)))


def _validated(validate: Callable[[], M]) -> M:
    """Return the model, or raise an error with the first field that is wrong."""
    try:
        return validate()
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
    if not first["loc"]:
        raise FieldError("body", "must be a JSON object")
    raise FieldError(".".join(map(str, first["loc"])), first["msg"])
