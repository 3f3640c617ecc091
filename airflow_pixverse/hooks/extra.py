"""The extra of a PixVerse connection: a model that parses it and makes Airflow's connection form."""

import json
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from airflow_pixverse.hooks.certificates import checked_ca_bundle

_MAX_LENGTH = 64 * 1024  # characters


def _set_or_none(value: Any) -> Any:
    """Return None for a field of the form that was left empty."""
    value = value.strip() if isinstance(value, str) else value
    return None if value == "" else value


def _not_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _checked_proxy(proxy: str) -> str:
    try:
        parts = urlsplit(proxy)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text may repeat the password
        usable = False
    if not usable or not proxy.isprintable() or " " in proxy:
        raise ValueError("must be an address such as http://proxy.example.com:3128")
    if parts.scheme not in {"http", "https"}:
        raise ValueError("must begin with http:// or https://")
    return proxy


_Empty = BeforeValidator(_set_or_none)
_Number = BeforeValidator(_not_boolean)


class ConnectionExtra(BaseModel):
    """
    The extra of a connection. Every field is optional; None for the client's default.

    Numbers and booleans may be strings, as in Airflow's older forms and connection URIs. Other keys are
    ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, hide_input_in_errors=True)

    timeout: Annotated[Annotated[float, Field(gt=0, le=600)] | None, _Number, _Empty] = Field(
        None, title="Timeout", description="Seconds to wait for each part of a response (30 when empty)."
    )
    max_retries: Annotated[Annotated[int, Field(ge=0, le=10)] | None, _Number, _Empty] = Field(
        None,
        title="Max retries",
        description="Repeats of a call after a transient error, where no poll follows (3 when empty).",
    )
    allow_http: Annotated[bool | None, _Empty] = Field(
        None,
        title="Allow http",
        description="Send the token unencrypted to a host that is not this machine.",
    )
    proxy: Annotated[Annotated[str, AfterValidator(_checked_proxy)] | None, _Empty] = Field(
        None,
        title="Proxy",
        description="URL of an http or https proxy; the environment decides when empty.",
        repr=False,  # it may hold a password
    )
    ca_bundle: Annotated[Annotated[str, AfterValidator(checked_ca_bundle)] | None, _Empty] = Field(
        None,
        title="CA bundle",
        description="File or folder of certificates to trust instead of the default ones.",
    )
    allow_private_results: Annotated[bool | None, _Empty] = Field(
        None,
        title="Allow private results",
        description="Read results from this machine and private networks, too.",
    )
    min_credits: Annotated[Annotated[int, Field(ge=0)] | None, _Number, _Empty] = Field(
        None,
        title="Min credits",
        description="Credits that each account keeps: an account that has no more gets no job.",
    )


def parse_extra(text: str | None) -> tuple[ConnectionExtra, list[str]]:
    """
    Return the extra of a connection, and the names of its keys that mean nothing here.

    :param text: the JSON text as Airflow stores it; empty or None for no extra.
    :raises ValueError: it cannot be used. The message names the key and never repeats the value.
    """
    # Not conn.extra_dejson, which turns broken JSON into {} and makes a synchronous supervisor call.
    given = _json_object("" if text is None else text)
    try:
        extra = ConnectionExtra.model_validate(given)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise ValueError("; ".join(f"{one['loc'][0]} {_in_words(one['msg'])}" for one in details)) from None
    return extra, sorted(given.keys() - ConnectionExtra.model_fields.keys())


def _json_object(text: str) -> dict[str, Any]:
    if not isinstance(text, str):  # a secrets backend may have made the connection
        raise ValueError("it must be JSON text")
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"it is longer than {_MAX_LENGTH} characters")
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"it is not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError('it must be a JSON object such as {"timeout": 30}')
    return value


def _in_words(message: str) -> str:
    """Return a message of pydantic as the rest of a sentence that begins with the field's name."""
    return message.removeprefix("Value error, ").replace("Input should be", "must be", 1)


def form_fields() -> dict[str, Any]:
    """
    Return the fields of Airflow's connection form.

    Airflow 3.2 and later make form fields of these; elsewhere they are keys of the Extra JSON.
    """
    properties = ConnectionExtra.model_json_schema()["properties"]
    return {name: _form_field(schema) for name, schema in properties.items()}


def _form_field(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a field of Airflow's form, made from the field's JSON schema."""
    value, null = schema["anyOf"]
    return {
        "label": schema["title"],
        "description": schema["description"],
        "schema": {**value, "type": [value["type"], null["type"]]},
    }
