"""JobFollower: one job in the triggerer, followed until there is a result."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.result_pacing import ResultPacing
from airflow_pixverse.triggers.shared_gates import shared_gate_of

if TYPE_CHECKING:
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.gate import Tracker
    from airflow_pixverse.job_parameters import JobParameters
    from airflow_pixverse.triggers.shared_gates import SharedGate


class JobFollower:
    """
    Follows a job through the gate of its connection, and asks for its result when it does not execute.

    :param job_id: id of the job.
    :param parameters: those of the wait.
    :param log: where to tell how it goes, sparingly.
    """

    def __init__(self, job_id: str, parameters: JobParameters, log: Any) -> None:
        self.job_id = job_id
        self.is_finished = False
        """Whether it has its result."""
        self.looked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the job has been looked at, with whatever success."""
        self.last_seen = "it has not been seen yet"
        """What is known of the job."""
        self._parameters = parameters
        self._log = log
        self._pacing = ResultPacing(parameters.poke_interval)
        self._is_suspicious = False

    async def result(self) -> JobResult:
        """
        Return what has become of the job, once it is finished.

        :raises PixverseFatalError: asking again will not help, as two calls in a row have shown.
        """
        from airflow_pixverse.gate import GateMovedError

        interval = self._parameters.poke_interval
        while True:
            shared = shared_gate_of(conn_id := self._parameters.pixverse_conn_id)
            try:
                with shared.gate.track(self.job_id, interval, conn_id) as tracker:
                    return await self._result_at(shared, tracker)
            except GateMovedError:
                self._log.info("The connection leads to another token or service now: looking there")

    async def _result_at(self, shared: SharedGate, tracker: Tracker) -> JobResult:
        await tracker.polled
        if tracker.is_listed:
            self._saw("executing")
        if tracker.is_listed is not False:
            self._mark_looked()
        while True:
            if await tracker.gone():
                self._pacing.record_listed()
            await asyncio.sleep(self._patience)
            result = await self._ask(shared)
            self._mark_looked()
            if result is not None and result.is_finished:
                self.is_finished = True
                return result
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await tracker.listed()
                    self._saw("executing")

    async def _ask(self, shared: SharedGate) -> JobResult | None:
        """Ask for the result once; None if there is no answer to be believed."""
        from airflow_pixverse.gate.pacing import SECOND_LOOK

        pause = 0.0
        try:
            result = await shared.get_result(self.job_id)
        except PixverseTransientError as error:
            self._saw(str(error))
            pause = error.retry_after or 0.0
        except PixverseFatalError as error:
            if self._is_suspicious:
                self._mark_looked()
                raise
            self._is_suspicious = True
            self._log.warning("A second look follows, before this is believed: %s", error)
            pause = SECOND_LOOK
        else:
            self._is_suspicious = False
            self._saw(result.state or "not executing, and without a result")
            self._pacing.record_asked(time.monotonic())
            return result
        self._pacing.record_asked(time.monotonic(), pause)
        return None

    @property
    def _patience(self) -> float:
        return self._pacing.patience(time.monotonic())

    def _saw(self, what: str) -> None:
        if what != self.last_seen:
            self._log.info("Job %s: %s", self.job_id, what)
            self.last_seen = what

    def _mark_looked(self) -> None:
        if not self.looked.done():
            self.looked.set_result(None)
