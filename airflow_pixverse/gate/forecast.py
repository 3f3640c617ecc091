"""Forecast: when executing jobs are expected to end, learned from those that a gate saw leave."""

import math
from collections import defaultdict, deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from statistics import median
from typing import Self

from airflow_pixverse.api.scheduler import Capacity, ExecutingJob, email_key

# The last so many jobs of a kind tell how long the next ones take, once there are so many.
_REMEMBERED = 15
_FEWEST = 3
# Shorter jobs come and go between the looks of a worker that has to see those before it listed.
_SHORTEST = 10.0
# A job tells nothing if the time between two polls leaves more than this share of its duration unknown.
_MOST_UNKNOWN = 0.5
# It is unknown when a job began that came between two polls further apart than this many seconds.
_LONGEST_GAP = 60.0
_MOST_KINDS = 50
# Nothing is known of a job that has taken longer than usual by this share.
_LATE = 0.5


@dataclass
class _Run:
    """An executing job: since when it runs, and when it was listed last, by the gate's clock."""

    kind: str
    email: str
    began: float
    listed_at: float


class Forecast:
    """
    The executing jobs, and how long jobs of their kind take: the median of those that ended last.

    A kind is what the API calls the type of a job: video, image, ...
    """

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._durations: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._polled_at = -math.inf
        self._used: set[str] = set()
        self.wanted: set[str] = set()
        """Keys of the accounts on which, by the last decision, an end lets a wait through early."""

    def observe(self, capacity: Capacity, now: float) -> None:
        """Learn from a snapshot, if it lists all jobs."""
        if not capacity.lists_all_executing:
            return
        listed = {job.id: job for job in capacity.executing if job.id is not None}
        for job_id in self._runs.keys() - listed.keys():
            self._learn(self._runs.pop(job_id), now)
        for job_id, job in listed.items():
            if job_id not in self._runs:
                began = self._began(job, now)
                self._runs[job_id] = _Run(job.type or "", email_key(job.email), began, now)
            self._runs[job_id].listed_at = now
        self._used &= self._runs.keys()
        self._polled_at = now

    def ending(self, now: float, within: float) -> list[tuple[str, str]]:
        """
        Return the jobs that are expected to end soon and have not been used, the first one first.

        :param within: seconds from now.
        :return: the id and the key of the account of each.
        """
        ends = sorted((end, job_id) for job_id, end in self._unused_ends(now) if end <= now + within)
        return [(job_id, self._runs[job_id].email) for _, job_id in ends]

    def next_end(self, now: float, emails: AbstractSet[str] | None = None) -> float:
        """
        Return when the next of them is expected to end; infinity if none is.

        :param emails: keys of the accounts that count; None for all accounts.
        """
        ends = ((end, self._runs[job_id].email) for job_id, end in self._unused_ends(now))
        return min((end for end, email in ends if emails is None or email in emails), default=math.inf)

    def next_end_of(self, job_ids: AbstractSet[str], now: float) -> float:
        """Return when the next of some jobs is expected to end, used or not; infinity if none is."""
        return min((end for job_id, end in self._ends(now) if job_id in job_ids), default=math.inf)

    def use(self, job_id: str) -> None:
        """Let the end of a job be expected no more, as its slot is given to a wait."""
        self._used.add(job_id)

    def usual_seconds(self, job_id: str) -> float:
        """Return how long jobs of its kind take, for a job that :meth:`ending` has named."""
        return median(self._durations[self._runs[job_id].kind])

    def adopt(self, other: Self) -> None:
        """Take over what another gate of the same accounts knows of jobs, if less is known here."""
        for kind, took in other._durations.items():
            if len(took) > len(self._durations.get(kind, ())):
                self._durations[kind] = took.copy()
        for job_id, run in other._runs.items():
            if job_id not in self._runs or math.isnan(self._runs[job_id].began):
                self._runs[job_id] = replace(run)
        self._used |= other._used
        self._polled_at = max(self._polled_at, other._polled_at)

    def _unused_ends(self, now: float) -> list[tuple[str, float]]:
        return [(job_id, end) for job_id, end in self._ends(now) if job_id not in self._used]

    def _ends(self, now: float) -> list[tuple[str, float]]:
        usual = {
            kind: seconds
            for kind, took in self._durations.items()
            if len(took) >= _FEWEST and (seconds := median(took)) >= _SHORTEST
        }
        return [
            (job_id, run.began + usual[run.kind])
            for job_id, run in self._runs.items()
            if run.kind in usual and now - run.began <= usual[run.kind] * (1 + _LATE)
        ]

    def _began(self, job: ExecutingJob, now: float) -> float:
        """Return when a job began that is listed for the first time; not a number if unknown."""
        if job.running is not None:
            return now - job.running.total_seconds()
        return (self._polled_at + now) / 2 if now - self._polled_at < _LONGEST_GAP else math.nan

    def _learn(self, run: _Run, now: float) -> None:
        took = (run.listed_at + now) / 2 - run.began
        is_known_kind = run.kind in self._durations or len(self._durations) < _MOST_KINDS
        if is_known_kind and now - run.listed_at <= took * _MOST_UNKNOWN:
            self._durations[run.kind].append(took)
