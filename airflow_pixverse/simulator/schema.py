"""How jobs and capacity are written in each dated revision of the API's documentation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_pixverse.simulator.fields import FieldError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_pixverse.simulator.state import Job, Snapshot


class Schema(NamedTuple):
    """One revision: the name of a job's id in either endpoint, and the types of job there were."""

    id_when_listed: str
    id_with_capacity: str
    types: tuple[str, ...]

    def executing(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """Return the body of ``GET scheduler/``."""
        return [self._job(self.id_when_listed, job, snapshot.now) for job in snapshot.jobs]

    def capacity(self, snapshot: Snapshot) -> dict[str, Any]:
        """Return the body of ``GET scheduler/available``."""
        return {
            "executing": [self._job(self.id_with_capacity, job, snapshot.now) for job in snapshot.jobs],
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
    "2024-12-06": Schema("videoId", "video_id", ("video",)),
    "2026-03-09": Schema("id", "id", ("video", "image")),
    "2026-06-24": Schema("id", "id", ("video", "image", "music")),
}
NEWEST = max(SCHEMAS)


def find_schema(name: str) -> Schema:
    """Return the revision of that date, or raise :class:`FieldError`."""
    if name not in SCHEMAS:
        raise FieldError("schema", f"must be one of {', '.join(SCHEMAS)}")
    return SCHEMAS[name]
