"""TriggererWaits: the waits of a deferrable task, at the gate, which keeps a slot for it in between."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_pixverse.deadlines import SAFETY_NET, Deadlines

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.providers.common.compat.sdk import BaseOperator
    from airflow.triggers.base import BaseTrigger

    from airflow_pixverse.submits.state import SubmitState
    from airflow_pixverse.submits.timing import Timing
    from airflow_pixverse.submits.waits import SlotNews


class TriggererWaits:
    """
    Defers the task, which goes on in ``execute_complete``.

    :param task: the task.
    :param started: when this try of it began.
    :param pixverse_conn_id: id of the connection.
    :param emails: the accounts that may have a slot; None for all.
    :param timing: the interval, and how long a wait may take.
    """

    def __init__(
        self,
        task: BaseOperator,
        started: datetime,
        *,
        pixverse_conn_id: str,
        emails: Sequence[str] | None,
        timing: Timing,
    ) -> None:
        self._task = task
        self._started = started
        self._pixverse_conn_id = pixverse_conn_id
        self._emails = emails
        self._timing = timing

    def for_capacity(self, state: SubmitState, news: SlotNews = None, pause: float = 0.0) -> NoReturn:
        """Defer until there is a free slot."""
        from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger

        kwargs = {
            "emails": None if self._emails is None else list(self._emails),
            "first_poll_at": time.time() + pause if pause else None,
            "lease": self._timing.lease,
            "ticket": True,
        }
        self._defer(PixverseCapacityTrigger, kwargs, state, news, timeout=self._timing.capacity_timeout)

    def for_results(self, state: SubmitState, news: SlotNews = None) -> NoReturn:
        """Defer until the jobs are finished."""
        from airflow_pixverse.triggers.job import PixverseJobTrigger

        kwargs = {"job_ids": list(state.job_ids)}
        self._defer(PixverseJobTrigger, kwargs, state, news, timeout=self._timing.completion_timeout)

    def give_back(self, state: SubmitState, news: SlotNews) -> None:
        """Defer until the gate knows, if it keeps a slot."""
        from airflow_pixverse.triggers.news import PixverseNewsTrigger

        if news is None:
            return
        self._task.defer(
            trigger=PixverseNewsTrigger(
                pixverse_conn_id=self._pixverse_conn_id, news=news, state=state.to_json()
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=SAFETY_NET),
        )

    def _defer(
        self,
        trigger: type[BaseTrigger],
        kwargs: dict[str, Any],
        state: SubmitState,
        news: SlotNews,
        *,
        timeout: float | None,
    ) -> NoReturn:
        since = state.waiting_since
        deadlines = Deadlines.of_task(self._task, self._started, since=since, timeout=timeout)
        ends = since + deadlines.deferral_seconds
        kwargs = kwargs | {
            "pixverse_conn_id": self._pixverse_conn_id,
            "poke_interval": self._timing.poke_interval,
            "timeout": timeout,
            "execution_timeout": deadlines.execution_timeout,
            "waiting_since": since,
            "state": state.to_json(),
            "news": news,
        }
        self._task.defer(
            trigger=trigger(**kwargs),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(0.0, ends - time.time())),
        )
        raise AssertionError("a task that is deferred does not go on here")


def first_wait_kwargs(
    pixverse_conn_id: str, emails: Any, timing: Timing, execution_timeout: timedelta | None
) -> dict[str, Any]:
    """
    Return the trigger's keyword arguments of a wait for a slot that begins in the triggerer.

    :param emails: the accounts that may have a slot, which may be a template; None for all.
    """
    return {
        "pixverse_conn_id": pixverse_conn_id,
        "emails": emails,
        "poke_interval": timing.poke_interval,
        "timeout": timing.capacity_timeout,
        "execution_timeout": execution_timeout.total_seconds() if execution_timeout else None,
        "lease": timing.lease,
        "ticket": True,
    }
