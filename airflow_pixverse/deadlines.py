"""Deadlines: when a wait began and when it must end, as sensor, trigger and Airflow each express it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

    from airflow_pixverse.trigger_parameters import TriggerParameters

# Seconds after the trigger's own deadline at which Airflow ends the deferral, in case no trigger runs.
SAFETY_NET = 60.0
# The longest deferral that Airflow is asked for, in seconds: ten years.
_LONGEST_DEFERRAL = timedelta(days=3650).total_seconds()


class Limit(StrEnum):
    """Which limit of the task ends the wait."""

    TIMEOUT = "timeout"
    EXECUTION_TIMEOUT = "execution_timeout"


@dataclass(frozen=True)
class Deadlines:
    """
    When a wait began, and how long it may take.

    :param since: when it began, in seconds since the epoch.
    :param timeout: seconds until it times out; None for never.
    :param execution_timeout: seconds until ``execution_timeout`` is reached; None for never.
    """

    since: float
    timeout: float | None = None
    execution_timeout: float | None = None

    @classmethod
    def of_wait(
        cls, parameters: TriggerParameters, *, deferral_ends: datetime | None, started: datetime | None
    ) -> Self:
        """
        Return the deadlines of a wait in the triggerer.

        Where the wait began in the trigger, when that was follows from what Airflow knows of it.

        :param parameters: what the trigger was given.
        :param deferral_ends: when Airflow ends the deferral; None where that is not known.
        :param started: when the try of the task began; None if it has not.
        """
        limits = {"timeout": parameters.timeout, "execution_timeout": parameters.execution_timeout}
        if parameters.waiting_since is not None:
            return cls(parameters.waiting_since, **limits)
        if deferral_ends is not None:
            return cls.of_deferral(deferral_ends, **limits)
        return cls(started.timestamp() if started else time.time(), **limits)

    @classmethod
    def of_deferral(
        cls, ends: datetime, *, timeout: float | None = None, execution_timeout: float | None = None
    ) -> Self:
        """
        Return the deadlines of a wait of which only is known when Airflow ends its deferral.

        This is the inverse of :attr:`deferral_seconds`, for waits that begin in the trigger.

        :param ends: when Airflow ends the deferral.
        """
        seconds = cls(0.0, timeout, execution_timeout).deferral_seconds
        # Airflow itself cuts a deferral at the execution_timeout, without a safety net.
        return cls(ends.timestamp() - min(seconds, execution_timeout or math.inf), timeout, execution_timeout)

    @classmethod
    def of_task(cls, task: BaseOperator, started: datetime, *, since: float, timeout: float | None) -> Self:
        """
        Return the deadlines of a wait that a task is about to defer.

        :param started: when this try of it began, which its ``execution_timeout`` counts from.
        """
        if not task.execution_timeout:
            return cls(since, timeout)
        ends = started.timestamp() + task.execution_timeout.total_seconds()
        return cls(since, timeout, max(0.0, ends - since))

    @property
    def deferral_seconds(self) -> float:
        """For how many seconds Airflow is asked to defer: longer than the trigger itself waits."""
        limits = [limit for limit in (self.timeout, self.execution_timeout) if limit is not None]
        return min([limit + SAFETY_NET for limit in limits] + [_LONGEST_DEFERRAL])

    @property
    def first(self) -> tuple[float, Limit]:
        """The deadline that counts, the earlier one: its moment in seconds since the epoch (or infinity)."""
        ends = {Limit.EXECUTION_TIMEOUT: self.execution_timeout, Limit.TIMEOUT: self.timeout}
        moments = [(math.inf if end is None else self.since + end, limit) for limit, end in ends.items()]
        return min(moments, key=lambda pair: pair[0])
