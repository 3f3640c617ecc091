"""How a submit can end beside what the API answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_pixverse.api.errors import PixverseNoConnectionError

if TYPE_CHECKING:
    from airflow_pixverse.marks.mark import Mark


class NotSentError(Exception):
    """This try has sent nothing, and Airflow may retry it."""


class NotOursError(NotSentError):
    """Another try of the same task has submitted, or is submitting."""


class TicketExpiredError(NotSentError):
    """The slot that was kept for the task is not kept any more."""


class LostSubmitError(PixverseNoConnectionError):
    """It was sent and its answer was lost, but it was not listed, so it is not accepted."""


class UnsettledError(Exception):
    """
    Whether a submit was accepted cannot be known.

    :param mark: its mark.
    :param trouble: what went wrong, or how it came to be found.
    """

    def __init__(self, mark: Mark, trouble: str) -> None:
        super().__init__(
            f"Nobody can know whether PixVerse accepted what was sent to {mark.endpoint} at {mark.sent_at} "
            f"with replyRef {mark.reference}{f' and seed {mark.seed}' if mark.seed else ''}: {trouble}. "
            "Look for it in the executing jobs (GET scheduler/) and among the results of "
            f"{f'account {mark.email}' if mark.email else 'the accounts'}. If it is there, PixverseJobSensor "
            "waits for it. If it is not, clear this task: that submits, and pays, again"
        )
        self.mark = mark
