"""TriggerParameters: what every wait in the triggerer is given, on its way from the sensor to the trigger."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, cast, get_type_hints

from airflow_pixverse.parameters import (
    parse_conn_id,
    parse_news,
    parse_optional_moment,
    parse_optional_seconds,
    parse_seconds,
    parse_state,
)


@dataclass(frozen=True, kw_only=True)
class TriggerParameters:
    """
    The parameters of a wait. As keyword arguments of the trigger they are plain JSON.

    Each has a default, and :meth:`parse` passes over those that it does not know: Airflow's database may hold
    what another version of this package has written. Each is annotated with what parses it.

    :param pixverse_conn_id: id of the connection that holds the API token.
    :param poke_interval: seconds between two looks.
    :param timeout: seconds after ``waiting_since`` when the wait times out; None for never.
    :param execution_timeout: seconds after ``waiting_since`` when that is reached; None for never.
    :param waiting_since: when the wait began, in seconds since the epoch; None if it begins in the trigger.
    :param news: what to tell the gate of a slot that it keeps: ``reference``, and ``news`` as in
        :class:`~airflow_pixverse.slot_news.News`; None for nothing.
    :param state: what the task wants to get back with the event, plain JSON; None for nothing.
    """

    pixverse_conn_id: Annotated[str, parse_conn_id] = "pixverse_default"
    poke_interval: Annotated[float, parse_seconds] = 60.0
    timeout: Annotated[float | None, parse_optional_seconds] = None
    execution_timeout: Annotated[float | None, parse_optional_seconds] = None
    waiting_since: Annotated[float | None, parse_optional_moment] = None
    news: Annotated[dict[str, str] | None, parse_news] = None
    state: Annotated[dict[str, Any] | None, parse_state] = None

    @classmethod
    def parse(cls, kwargs: Mapping[str, Any]) -> Self:
        """
        Return the parameters that a trigger's keyword arguments stand for.

        :raises ValueError: one of them cannot be used; the message names it.
        """
        parsers = {name: parser for name, parser in _parsers(cast("Hashable", cls)).items() if name in kwargs}
        return cls(**{name: parse(kwargs[name], name) for name, parse in parsers.items()})

    @classmethod
    def unknown(cls, kwargs: Mapping[str, Any]) -> list[str]:
        """Return the names of keyword arguments that only another version of this package knows."""
        return sorted(kwargs.keys() - _parsers(cast("Hashable", cls)).keys())

    def to_kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments of the trigger."""
        return dataclasses.asdict(self)


@functools.cache
def _parsers(parameters: Hashable) -> dict[str, Callable[[Any, str], Any]]:
    hints = get_type_hints(parameters, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}
