"""Base of the models of the API's JSON: every field is optional, and each value is bounded."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from airflow_pixverse.api.http.sanitizer import MAX_TEXT, clean_name, shortened


def first_items(limit: int) -> BeforeValidator:
    """Read the first items of a list, however many there are."""
    return BeforeValidator(lambda items: items[:limit] if isinstance(items, list) else items)


def first_objects(limit: int) -> BeforeValidator:
    """Read the first objects of a list, however many there are, and skip other items."""

    def read(items: Any) -> Any:
        if not isinstance(items, list):
            return items
        return [item for item in items if isinstance(item, (dict, BaseModel))][:limit]

    return BeforeValidator(read)


def message_of(error: Any) -> str:
    """Return the text of the API's error, which may be a string, or an object with a ``message``."""
    if isinstance(error, dict):
        error = error.get("message") or error
    return error if isinstance(error, str) else json.dumps(error) if error else ""


def id_text(value: Any) -> str:
    """Return an id, which may be a number, as a text; empty for none, for which PixVerse writes 0."""
    is_id = isinstance(value, (str, int)) and not isinstance(value, bool) and value != 0
    return clean_name(str(value)) if is_id else ""


def _as_text(value: Any) -> Any:
    """Return a value that should be a text and is not as its JSON."""
    return value if isinstance(value, str) or value is None else shortened(json.dumps(value), MAX_TEXT)


def _if_unreadable(unknown: int | None) -> WrapValidator:
    """Read a value of another type as unknown, so that one field does not hide all others."""

    def read(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError:
            return unknown

    return WrapValidator(read)


Text = Annotated[str, BeforeValidator(_as_text)]
Name = Annotated[Text, AfterValidator(clean_name)]
# A number that JSON can carry.
Number = Annotated[Annotated[int, Field(ge=-(2**63), lt=2**63)] | None, _if_unreadable(None)]
Flag = Annotated[bool | None, _if_unreadable(None)]
# A number of jobs that is out of bounds is no number of jobs.
_MAX_COUNT = 1_000_000
UNKNOWN = -1  # no number of free slots that was read is negative
Count = Annotated[Annotated[int, Field(ge=0, le=_MAX_COUNT)] | None, _if_unreadable(None)]
FreeSlots = Annotated[
    int,
    Field(ge=-_MAX_COUNT, le=_MAX_COUNT),
    AfterValidator(lambda slots: max(0, slots)),
    _if_unreadable(UNKNOWN),
]


class ApiModel(BaseModel):
    """
    An entry whose fields are all optional; fields that this version does not know pass through untouched.

    A field that cannot be read never refuses its entry, or the other entries: a text of another type is kept
    as JSON, and a number of another type is unknown.
    """

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        documented = {field.alias or name for name, field in cls.model_fields.items()}
        return {key: item for key, item in value.items() if item is not None or key not in documented}

    def to_xcom(self) -> dict[str, Any]:
        """Return the JSON form: the API's own field names, every documented key present."""
        return self.model_dump(mode="json", by_alias=True)


def parse_iso(text: str | None) -> datetime | None:
    """Return the time in ISO 8601, in UTC where it has no zone; None if unknown."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
