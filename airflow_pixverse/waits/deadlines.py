"""Deadlines: when a wait began and when it must end, converted between sensor, trigger and Airflow."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_pixverse.waits.parameters import TriggerParameters

# Seconds after the trigger's own deadline at which Airflow ends the deferral, in case no trigger runs.
SAFETY_NET = 60.0
LONGEST_DEFERRAL = timedelta(days=365).total_seconds()
"""The longest deferral that Airflow is asked for, in seconds: the TIMESTAMP of MySQL ends in January 2038."""


class WaitingTask(Protocol):
    """An operator or a sensor that waits in the triggerer."""

    execution_timeout: timedelta | None

    def defer(self, *, trigger: BaseTrigger, method_name: str, timeout: timedelta | None) -> None:
        """Defer the task."""


class Limit(StrEnum):
    """The limit of the task that ends the wait."""

    TIMEOUT = "timeout"
    EXECUTION_TIMEOUT = "execution_timeout"


@dataclass(frozen=True)
class Deadlines:
    """
    The start of a wait, and how long it may take.

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

        If the wait began in the trigger, its start follows from the deferral's end or the try's start.

        :param parameters: the trigger's parameters.
        :param deferral_ends: when Airflow ends the deferral; None if unknown.
        :param started: when the try of the task began; None if it has not.
        """
        limits = {"timeout": parameters.timeout, "execution_timeout": parameters.execution_timeout}
        if parameters.waiting_since is not None:
            return cls(parameters.waiting_since, **limits)
        if deferral_ends is not None:
            deadlines = cls.of_deferral(deferral_ends, **limits)
            # An earlier version deferred for ten years, which would be a wait that begins in nine.
            return replace(deadlines, since=min(deadlines.since, time.time()))
        return cls(started.timestamp() if started else time.time(), **limits)

    @classmethod
    def of_deferral(
        cls, ends: datetime, *, timeout: float | None = None, execution_timeout: float | None = None
    ) -> Self:
        """
        Return the deadlines of a wait that began in the trigger, from the end of its deferral.

        This is the inverse of :meth:`deferral_seconds`.

        :param ends: when Airflow ends the deferral.
        """
        seconds = cls(0.0, timeout, execution_timeout).deferral_seconds(0.0)
        # Airflow itself cuts a deferral at the execution_timeout, without a safety net.
        return cls(ends.timestamp() - min(seconds, execution_timeout or math.inf), timeout, execution_timeout)

    @classmethod
    def of_task(cls, task: WaitingTask, started: datetime, *, since: float, timeout: float | None) -> Self:
        """
        Return the deadlines of a wait that a task is about to defer.

        :param started: when this try of it began, which its ``execution_timeout`` counts from.
        """
        if not task.execution_timeout:
            return cls(since, timeout)
        ends = started.timestamp() + task.execution_timeout.total_seconds()
        return cls(since, timeout, max(0.0, ends - since))

    def deferral_seconds(self, now: float) -> float:
        """
        Return for how many seconds to ask Airflow to defer: longer than the trigger itself waits.

        A wait that may take longer than Airflow defers goes on with another deferral.

        :param now: when the deferral begins, in seconds since the epoch.
        """
        end, _ = self.first
        return min(max(0.0, end + SAFETY_NET - now), LONGEST_DEFERRAL)

    @property
    def first(self) -> tuple[float, Limit]:
        """The deadline that counts, the earlier one: its moment in seconds since the epoch (or infinity)."""
        ends = {Limit.EXECUTION_TIMEOUT: self.execution_timeout, Limit.TIMEOUT: self.timeout}
        moments = [(math.inf if end is None else self.since + end, limit) for limit, end in ends.items()]
        return min(moments, key=lambda pair: pair[0])
