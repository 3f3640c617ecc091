"""The jobs that other people submit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence


class Arrival(NamedTuple):
    """A job that somebody submits: the time (seconds since the epoch), how long it runs, and its type."""

    at: float
    seconds: float
    type: str


def draw_seconds(rng: random.Random, job_seconds: tuple[float, float] | None) -> float:
    """Return for how many seconds a job runs: something between ``job_seconds``, infinity without those."""
    return rng.uniform(*job_seconds) if job_seconds else math.inf


def arrivals(
    begin: float,
    per_minute: float,
    job_seconds: tuple[float, float] | None,
    types: Sequence[str],
    rng: random.Random,
) -> Iterator[Arrival]:
    """Yield jobs after ``begin`` without end, at random moments that average ``per_minute``."""
    at = begin
    while per_minute:
        at += rng.expovariate(per_minute / 60)
        yield Arrival(at, draw_seconds(rng, job_seconds), rng.choice(types))
