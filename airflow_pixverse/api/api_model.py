"""What the models of the API's JSON share: every field is optional, and nothing in them harms anybody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapValidator,
    model_validator,
)

from airflow_pixverse.api.sanitizer import one_line, shortened

MAX_NAME = 512


def clean_name(name: str) -> str:
    """Return an id or an e-mail as one line that is not too long: it is logged, and sent back in requests."""
    return shortened(one_line(name), MAX_NAME)


def first(limit: int) -> BeforeValidator:
    """Read the first items of a list, however many there are."""
    return BeforeValidator(lambda items: items[:limit] if isinstance(items, list) else items)


def _or_none(value: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


Name = Annotated[str, AfterValidator(clean_name)]
# A number of jobs that is out of bounds is no number of jobs; it is also one that JSON can carry.
Count = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
# What is told of a job that is paid for, or of an account, is read even where one field of it is odd.
AnyName = Annotated[Name | None, WrapValidator(_or_none)]
AnyText = Annotated[str | None, WrapValidator(_or_none)]
AnyNumber = Annotated[Annotated[int, Field(ge=-(2**63), lt=2**63)] | None, WrapValidator(_or_none)]
AnyFlag = Annotated[bool | None, WrapValidator(_or_none)]


class ApiModel(BaseModel):
    """Every field is optional, and fields this version does not know pass through untouched."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, coerce_numbers_to_str=True)

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


def moment(text: str | None) -> datetime | None:
    """Return the time that ISO 8601 stands for; None where there is none. Without a zone it is UTC."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
