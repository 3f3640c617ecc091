"""What the marks of earlier tries tell a try that is about to submit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_pixverse.marks.mark import Mark


def accepted_before(marks: Iterable[Mark]) -> Mark | None:
    """Return the mark of a job that was accepted; the latest, should there be more."""
    accepted = [mark for mark in marks if mark.state == "accepted"]
    return max(accepted, key=lambda mark: mark.sent_at, default=None)


def unsettled_before(marks: Iterable[Mark]) -> Mark | None:
    """Return the latest mark of a submit of which is not known whether it was accepted."""
    marks = list(marks)
    settled = {mark.reference for mark in marks if mark.state != "sending"}
    open_marks = [mark for mark in marks if mark.state == "sending" and mark.reference not in settled]
    return max(open_marks, key=lambda mark: mark.sent_at, default=None)
