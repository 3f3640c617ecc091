"""Checks of parameters and options; each error names the field."""

from __future__ import annotations

import math


class FieldError(ValueError):
    """
    A value that cannot be used.

    :param field: the field, parameter or option that has this value
    :param problem: what the value must be
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


def integer(field: str, value: object, low: int, high: float = math.inf) -> int:
    """Return ``value`` if it is a whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        span = f"from {low} to {high}" if high < math.inf else f"of at least {low}"
        raise FieldError(field, f"must be a whole number {span}")
    return value


def number(field: str, value: object) -> float:
    """Return ``value`` if it is a finite number of at least 0, such as a duration in seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise FieldError(field, "must be a number of at least 0")
    return value


def fraction(field: str, value: object) -> float:
    """Return ``value`` if it is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise FieldError(field, "must be a number from 0 to 1")
    return value


def text(field: str, value: object, limit: int = 1024) -> str:
    """Return ``value`` if it is a string of 1 to ``limit`` characters."""
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise FieldError(field, f"must be a text of 1 to {limit} characters")
    return value


def header(field: str, value: object) -> str:
    """Return ``value`` if it is a string that an HTTP header can carry unchanged."""
    if (
        not isinstance(value, str)
        or not (value.isascii() and value.isprintable())
        or value.strip() != value
        or not value
    ):
        raise FieldError(field, "must be printable ASCII text without white space around it")
    return value
