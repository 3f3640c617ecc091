"""AwaitedJob: the job whose slot a wait is to get that was let through before its slot is free."""

from typing import Any, NamedTuple, Self

LONGEST_LOOK = 60.0
"""A worker looks for a slot that is about to be free for so many seconds at most."""


class AwaitedJob(NamedTuple):
    """
    A job that is expected to end soon.

    :param job_id: its id.
    :param usual_seconds: how long jobs of its kind take.
    :param refused: slots of its account that are not to be used although they look free, as a job was refused
        there.
    """

    job_id: str
    usual_seconds: float
    refused: int = 0

    @classmethod
    def from_json(cls, value: Any) -> Self | None:
        """Return the job of :meth:`to_json`. None if another version has written something else."""
        match value:
            case {"job": str(job_id), "usual": int() | float() as usual_seconds}:
                refused = value.get("refused")
                return cls(job_id, usual_seconds, refused if isinstance(refused, int) else 0)
        return None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, for an event."""
        return {"job": self.job_id, "usual": self.usual_seconds, "refused": self.refused}
