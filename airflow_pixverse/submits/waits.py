"""Waits: how a submit operator waits, on its worker or in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.submits.admission import Admission
    from airflow_pixverse.submits.state import SubmitState

SlotNews = dict[str, str] | None
"""What to tell the gate of the slot that it keeps; None where there is nothing to tell."""


class Waits(Protocol):
    """
    How a submit operator waits.

    In the triggerer, a wait never returns here: the task is deferred, and goes on with the trigger's event.
    """

    def for_capacity(self, state: SubmitState, news: SlotNews = None, pause: float = 0.0) -> Admission:
        """
        Return once there is a free slot.

        :param news: what to tell the gate first.
        :param pause: seconds to wait before that.
        :raises PixverseFatalError: asking again will not help.
        :raises AirflowException: it took too long.
        """

    def for_results(self, state: SubmitState, news: SlotNews = None) -> list[JobResult]:
        """
        Return once the jobs of the state are finished, well or not; the results are in the order of the ids.

        :param news: what to tell the gate first.
        :raises AirflowException: it took too long, or there is no point in asking again for the time being.
        """

    def give_back(self, state: SubmitState, news: SlotNews) -> None:
        """
        Tell the gate that a slot is not needed, since the task is going to fail.

        :param state: has what it is going to fail with.
        """
