"""The JSON bodies of requests: reading one into a model, and answering with an error."""

from __future__ import annotations

from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from airflow_pixverse.simulator.fields import FieldError

B = TypeVar("B", bound="Body")

Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class Body(BaseModel):
    """A JSON object; its keys are written ``likeThis``, and its values are not converted."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True)


async def read_body(request: web.Request, model: type[B]) -> B:
    """
    Return the body of the request; no body is an empty object.

    :raises FieldError: when the body does not fit the model, with the first field that is wrong
    """
    try:
        return model.model_validate_json(await request.read() or b"{}")
    except ValidationError as exc:
        raise _explained(exc) from None


def read_query(request: web.Request, model: type[B]) -> B:
    """
    Return the query of the request.

    :raises FieldError: when the query does not fit the model, with the first parameter that is wrong
    """
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as exc:
        raise _explained(exc) from None


def _explained(error: ValidationError) -> FieldError:
    first = error.errors(include_url=False, include_input=False)[0]
    if not first["loc"]:
        return FieldError("body", "must be a JSON object")
    return FieldError(".".join(map(str, first["loc"])), first["msg"])


def problem(status: int, error: object) -> web.Response:
    """Return an error as the API writes it."""
    return web.json_response({"error": error, "code": status}, status=status)
