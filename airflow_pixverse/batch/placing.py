"""The status of a row, by what the folder remembers of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from airflow_pixverse.api.reply_ref import prefix_of
from airflow_pixverse.batch.rows import Row, RowStatus

if TYPE_CHECKING:
    from airflow_pixverse.journal import SubmitRecord

# The first of these that an attempt is in decides. Of attempts in one state, the latest counts.
_DECIDING: dict[str, RowStatus] = {
    "stored": RowStatus.STORED,
    "accepted": RowStatus.RUNNING,
    "sending": RowStatus.RUNNING,
    "unknown": RowStatus.UNKNOWN,
    "failed": RowStatus.FAILED,
    "moderated": RowStatus.MODERATED,
}


def deciding(records: Sequence[SubmitRecord]) -> SubmitRecord | None:
    """Return the attempt that tells the status of a row; None if none does."""
    for state in _DECIDING:
        if found := [record for record in records if record.state == state]:
            return max(found, key=lambda record: record.sent_at)
    return None


def place(row: Row, records: Sequence[SubmitRecord], *, prefix: str, remake: Collection[str]) -> None:
    """
    Give a row the status that its records tell.

    :param records: one for each attempt.
    :param prefix: the beginning of the ``replyRef`` of this run, whose own ends are never made again.
    :param remake: states of attempts of other runs that do not count.
    """
    row.references |= {record.reference for record in records}
    counted = [
        record for record in records if record.state not in remake or prefix_of(record.reference) == prefix
    ]
    # Also where an unknown one does not count: a submit that gets lost next is not sent a third time.
    was_lost = any(record.was_lost for record in counted if record.state != "forgotten")
    row.is_resubmission = was_lost or any(record.state == "unknown" for record in records)
    row.record = deciding(counted)
    row.status = _DECIDING[row.record.state] if row.record else RowStatus.WAITING
    row.reason = row.record.reason if row.record else ""


def look_before_remake(row: Row, records: Sequence[SubmitRecord]) -> None:
    """
    Let the job of an unknown submit be looked for once more before its row is made again.

    :param row: placed. Only one that waits is to be made again.
    :param records: one for each attempt.
    """
    last = deciding(records)
    if row.status is RowStatus.WAITING and last is not None and last.state == "unknown":
        row.status, row.record = RowStatus.UNKNOWN, last
