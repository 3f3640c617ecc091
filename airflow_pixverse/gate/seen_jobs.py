"""SeenJobs: the jobs that a gate has seen, so that it knows which ones are new."""

from __future__ import annotations

from collections import OrderedDict

from airflow_pixverse.api.models import MAX_JOBS_READ

# A job that is not listed for longer than this many seconds, and then is, counts as a new one.
_MEMORY = 3600.0
# Beyond this many jobs, those that were listed longest ago are forgotten earlier. What the last five
# snapshots have listed is always remembered.
_MOST_REMEMBERED = 5 * MAX_JOBS_READ


class SeenJobs:
    """The jobs that a gate has seen; a bounded number, whatever a server lists."""

    def __init__(self) -> None:
        self._listed_at: OrderedDict[str, float] = OrderedDict()  # longest ago first

    def __contains__(self, job_id: str) -> bool:
        """Return whether a job is remembered."""
        return job_id in self._listed_at

    def see(self, job_id: str, now: float) -> bool:
        """Record that a job is listed, and return whether it is new."""
        is_new = job_id not in self._listed_at
        self._listed_at[job_id] = now
        self._listed_at.move_to_end(job_id)
        return is_new

    def forget_old(self, now: float) -> None:
        """Forget the jobs that have not been listed for long, and those that are too many."""
        jobs = self._listed_at
        while jobs and (len(jobs) > _MOST_REMEMBERED or next(iter(jobs.values())) <= now - _MEMORY):
            jobs.popitem(last=False)

    def adopt(self, other: SeenJobs) -> None:
        """Remember what another gate has seen, too."""
        by_time = sorted([*self._listed_at.items(), *other._listed_at.items()], key=lambda job: job[1])
        self._listed_at.clear()
        for job_id, listed_at in by_time:
            self.see(job_id, listed_at)
