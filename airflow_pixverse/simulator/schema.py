"""The dated revisions of the API's documentation, and how each writes executing jobs and capacity."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from airflow_pixverse.simulator.errors import FieldError
from airflow_pixverse.simulator.jobs import Job
from airflow_pixverse.simulator.kinds import KINDS
from airflow_pixverse.simulator.service import Snapshot


class Schema(NamedTuple):
    """
    One revision: the name of a job's id in either endpoint, and the types of job that its page names.

    The list leaves out the types that the page leaves out, except for a type that a test made up.
    """

    id_when_listed: str
    id_with_capacity: str
    types_when_listed: tuple[str, ...]
    types: tuple[str, ...]

    def executing(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """Return the body of ``GET scheduler/``."""
        return self._jobs(self.id_when_listed, self.types_when_listed, snapshot)

    def capacity(self, snapshot: Snapshot) -> dict[str, Any]:
        """Return the body of ``GET scheduler/available``."""
        return {
            "executing": self._jobs(self.id_with_capacity, self.types, snapshot),
            "available": [
                {
                    "email": account.email,
                    "maxJobs": account.max_jobs,
                    "executing": account.executing,
                    "available": account.available,
                }
                for account in snapshot.accounts
            ],
        }

    def _jobs(self, id_name: str, types: tuple[str, ...], snapshot: Snapshot) -> list[dict[str, Any]]:
        left_out = KINDS.keys() - set(types)
        return [self._job(id_name, job, snapshot.now) for job in snapshot.jobs if job.type not in left_out]

    def _job(self, id_name: str, job: Job, now: float) -> dict[str, Any]:
        started = datetime.fromtimestamp(job.started, UTC).isoformat(timespec="milliseconds")
        minutes, seconds = divmod(max(0, int(now - job.started)), 60)
        return {
            id_name: job.id,
            # There was no type before there was a second one.
            **({"type": job.type} if len(self.types) > 1 else {}),
            "started": started.replace("+00:00", "Z"),
            "elapsed": f"{minutes:02}:{seconds:02}",
            "replyUrl": job.reply_url,
            "replyRef": job.reply_ref,
        }


SCHEMAS: Mapping[str, Schema] = {
    "2024-12-06": Schema("videoId", "video_id", ("video",), ("video",)),
    "2026-03-09": Schema("id", "id", ("video", "image"), ("video", "image")),
    # There is no newer page of "GET scheduler/".
    "2026-06-24": Schema("id", "id", ("video", "image"), ("video", "image", "music")),
}
NEWEST = max(SCHEMAS)


def find_schema(name: str) -> Schema:
    """Return the revision of that date, or raise :class:`FieldError`."""
    if name not in SCHEMAS:
        raise FieldError("schema", f"must be one of {', '.join(SCHEMAS)}")
    return SCHEMAS[name]
