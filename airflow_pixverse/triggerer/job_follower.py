"""JobFollower: one job in the triggerer, followed until its wait is over."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import PixverseError
from airflow_pixverse.gate.errors import GateMovedError
from airflow_pixverse.triggerer.shared_gates import SharedGate, shared_gate_of
from airflow_pixverse.waits.job_progress import JobProgress

if TYPE_CHECKING:
    from airflow_pixverse.gate.followers import Tracker
    from airflow_pixverse.waits.parameters import JobParameters


class JobFollower:
    """Follows a job through the gate of its connection, and fetches its result when it does not execute."""

    def __init__(self, job_id: str, parameters: JobParameters, log: Any) -> None:
        self.progress = JobProgress(job_id, parameters.poke_interval, log)
        """The state of the job."""
        self.looked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the job has been polled, with or without success."""
        self._parameters = parameters
        self._log = log

    async def follow(self) -> None:
        """Return once the wait is over; :attr:`progress` has the result or the reason."""
        interval = self._parameters.poke_interval
        while not self.progress.has_ended:
            shared = shared_gate_of(conn_id := self._parameters.pixverse_conn_id)
            try:
                with shared.gate.track(self.progress.job_id, interval, conn_id) as tracker:
                    await self._follow_at(shared, tracker)
            except GateMovedError:
                self._log.info("The connection leads to another token or service now: looking there")

    async def _follow_at(self, shared: SharedGate, tracker: Tracker) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.progress.seconds_until_due()):
                await tracker.polled
        if tracker.is_listed is not False:
            self._mark_looked()
        while not self.progress.has_ended:
            await self._until_due(tracker)
            await self._ask(shared)
            self._mark_looked()
            self.progress.remind()

    async def _until_due(self, tracker: Tracker) -> None:
        """Return once the result may be fetched; the list of executing jobs can delay that."""
        while True:
            if tracker.is_listed:
                self.progress.record_listed()
            if not (seconds := self.progress.seconds_until_due()):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    if self.progress.is_gone:
                        await tracker.wait_until_listed()
                    else:
                        if await tracker.wait_until_unlisted():
                            self.progress.record_listed()
                        self.progress.record_gone()

    async def _ask(self, shared: SharedGate) -> None:
        """Fetch the result once."""
        try:
            self.progress.record_answer(await shared.get_result(self.progress.job_id))
        except GateMovedError:
            raise
        except PixverseError as error:
            self.progress.record_error(error)

    def _mark_looked(self) -> None:
        if not self.looked.done():
            self.looked.set_result(None)
