"""Waits: the protocol of a submit operator's waits, on its worker or in the triggerer, and their values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_pixverse.api.credits import AccountCredits
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.gate.awaited_job import AwaitedJob
    from airflow_pixverse.gate.lease_update import LeaseUpdate
    from airflow_pixverse.waits.submit_state import SubmitState

SlotUpdate = dict[str, Any] | None
"""The update of the lease that the gate keeps for this task. None if no slot is leased."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """
    The poll interval and the limits of a submit operator; all in seconds.

    :param poke_interval: between two polls.
    :param capacity_timeout: for a slot; None for as long as it takes.
    :param completion_timeout: for the result; None for as long as it takes.
    :param lease: for which a slot is kept; None for the default of the gate.
    """

    poke_interval: float
    capacity_timeout: float | None = None
    completion_timeout: float | None = None
    lease: float | None = None

    def capacity_ends(self, state: SubmitState) -> float:
        """Return when the wait for a slot must end, in seconds since the epoch (or infinity)."""
        return math.inf if self.capacity_timeout is None else state.waiting_since + self.capacity_timeout

    def completion_ends(self, state: SubmitState) -> float:
        """Return when the wait for the result must end, in seconds since the epoch (or infinity)."""
        return math.inf if self.completion_timeout is None else state.waiting_since + self.completion_timeout


class Admission(NamedTuple):
    """
    The end of a wait for a slot.

    :param accounts: those with room, in their JSON form, the one that is to be used first.
    :param random_part: of the ``replyRef`` that the gate has admitted; empty if no gate has.
    :param is_leased: whether the gate keeps a slot for it.
    :param ahead: if the slot is only about to be free, the random parts of the jobs that get slots of the
        first account before it; None if there is one.
    :param awaited: if the slot is only about to be free, the job that it is expected from. None if unknown.
    :param credits: what the triggerer has read of the credits of an account. None if it was not asked.
    """

    accounts: list[dict[str, Any]]
    random_part: str = ""
    is_leased: bool = False
    ahead: Sequence[str] | None = None
    awaited: AwaitedJob | None = None
    credits: AccountCredits | None = None

    @property
    def emails(self) -> list[str]:
        """The accounts with room, as far as they have names."""
        return [account["email"] for account in self.accounts if account.get("email")]

    def lease_update(self, update: LeaseUpdate, looked: float | None = None) -> SlotUpdate:
        """
        Return the update for the gate. None if no slot is kept.

        :param looked: seconds for which this worker has looked for the slot; None if that is of no interest.
        """
        if not self.is_leased:
            return None
        told: dict[str, Any] = {"reference": self.random_part, "update": update.value}
        return told if looked is None or self.ahead is None else told | {"looked": looked}


class Waits(Protocol):
    """
    The waits of a submit operator.

    In the triggerer, a wait never returns here: the task is deferred, and resumes with the trigger's event.
    """

    def for_capacity(
        self, state: SubmitState, update: SlotUpdate = None, retry_after: float | None = None
    ) -> Admission:
        """
        Return once there is a free slot. After a setback, which the state counts, a pause comes first.

        :param update: what to tell the gate first.
        :param retry_after: seconds that the service asks for after a setback; None if it does not.
        :raises AirflowException: it took too long, or asking again will not help for the time being.
        """

    def for_results(
        self, state: SubmitState, update: SlotUpdate = None, pause: float = 0.0
    ) -> list[JobResult]:
        """
        Return once the jobs of the state are finished, well or not; the results are in the order of the ids.

        When the time is up, what is completed is worth returning, and the others are returned as they are.

        :param update: what to tell the gate first.
        :param pause: seconds to wait before that.
        :raises AirflowException: nothing is completed, and it took too long, or waiting longer is of no use.
        """

    def give_back(self, state: SubmitState, update: SlotUpdate) -> None:
        """
        Tell the gate that a slot need not be kept any longer, since the task is about to end.

        In the triggerer this does not return, if there is anything to tell: the task ends with the event.

        :param state: holds the failure or the value that the task is going to end with.
        """
