"""Progress of a batch: its counts, its speed, and its cost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_pixverse.batch.rows import RowStatus

if TYPE_CHECKING:
    from airflow_pixverse.batch.rows import Row

PROGRESS_KEY = "progress"
SUMMARY_KEY = "summary"
FAILURES_KEY = "failures"
_MINUTE = 60.0
_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """
    The state of a batch.

    :param counts: how many distinct rows have each status; each status is a key.
    :param rate: rows stored a minute, since this try began.
    :param seconds_left: until all rows are done at this rate; None if unknown.
    :param cost_credits: what this run has cost so far, as far as that is known.
    """

    counts: dict[str, int]
    rate: float
    seconds_left: float | None
    cost_credits: int

    def to_xcom(self, pixverse_conn_id: str) -> dict[str, Any]:
        """
        Return its JSON form for the capacity page, with the time ``at`` in seconds since the epoch.

        :param pixverse_conn_id: id of the connection that the batch uses.
        """
        return {**asdict(self), "pixverse_conn_id": pixverse_conn_id, "at": time.time()}

    def __str__(self) -> str:
        shown = ", ".join(f"{number} {status}" for status, number in self.counts.items() if number)
        left = "" if self.seconds_left is None else f", {_duration(self.seconds_left)} left"
        return f"{shown or 'no rows'}; {self.rate:.1f} rows a minute{left}; {self.cost_credits} credits"


class ProgressMeter:
    """
    Measures the progress of a try.

    :param rows: all rows.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._began = time.monotonic()
        self._stored_before = self._counts()[RowStatus.STORED]

    def now(self, cost_credits: int) -> Progress:
        """
        Return the progress now.

        :param cost_credits: what this run has cost.
        """
        counts = self._counts()
        minutes = max((time.monotonic() - self._began) / _MINUTE, 1e-3)
        rate = (counts[RowStatus.STORED] - self._stored_before) / minutes
        open_rows = counts[RowStatus.WAITING] + counts[RowStatus.RUNNING]
        return Progress(
            counts={status.value: counts[status] for status in RowStatus},
            rate=round(rate, 2),
            seconds_left=round(open_rows / rate * _MINUTE) if rate else None,
            cost_credits=cost_credits,
        )

    def _counts(self) -> Counter[RowStatus]:
        return Counter(row.status for row in self._rows)


def _duration(seconds: float) -> str:
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"
