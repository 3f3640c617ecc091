"""PixverseJobSensor: wait for the result of a job."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, PokeReturnValue, conf

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.parameters import check_at_parse, check_job_id
from airflow_pixverse.sensors.base import PixverseSensor
from airflow_pixverse.storage.destination import DEFAULT_FILE_NAME, DEFAULT_MAX_BYTES
from airflow_pixverse.storage.errors import StorageError
from airflow_pixverse.storage.stores_results import OUTPUT_FIELDS, StoresResults
from airflow_pixverse.triggers.job import PixverseJobTrigger
from airflow_pixverse.waits.deferral import defer_wait
from airflow_pixverse.waits.events import WaitStatus
from airflow_pixverse.waits.job_poller import JobPoller, ResultUnavailableError, fetch_results
from airflow_pixverse.waits.parameters import JobParameters

__all__ = ["PixverseJobSensor"]

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_pixverse.api.results import JobResult

# Seconds between two polls: of all waits of a triggerer together, or of a worker.
_POKE_INTERVAL = 5.0


class PixverseJobSensor(StoresResults, PixverseSensor):
    """
    Wait until a PixVerse job is finished, wherever it was submitted, and return its result.

    While the job executes, the sensor polls only the list of executing jobs; deferred, all waits of one
    service and token share that poll. When the job has left the list, or never was there, the sensor fetches
    the result; every five minutes also while the job is listed, or the list fails. Transient errors of the
    API, a refused token and an expired subscription never end a wait before ``timeout``. A job that failed
    or was moderated fails the task with the reason, without retry, also under ``soft_fail``.

    It maps over the XCom of the list operator: ``PixverseJobSensor.partial(...).expand(job_id=list.output)``.

    XCom: the result: an object with ``id``, ``kind``, ``email``, ``state``, ``url``, ``prompt``, ``seed``,
    ``created_at``, ``replyRef`` (null where the API does not tell) and whatever else the API sends.

    Source: "Retrieve generated video using the video_id" (``GET videos/{id}``), and
    the same pages of the other kinds.

    :param job_id: id of the job, or an object with its ``id``, such as an item of the list operator's XCom
        (templated).
    :param output_path: the folder to store the result in before the task succeeds, such as
        ``s3://bucket/videos/``; None to store nothing (templated). A retry after an error of the
        store waits for, and stores, the same job.
    :param file_name: name of the file, with the fields ``{type}``, ``{number}`` and ``{ext}`` (templated).
    :param max_bytes: size limit of a file, in bytes; 5 GiB unless set.
    :param pixverse_conn_id: id of the connection that holds the API token (templated).
    :param deferrable: wait in the triggerer instead of a worker.
    :param poke_interval: seconds, or a timedelta, between two polls; None for 5, or for 60 with
        ``mode="reschedule"``, where each poll starts a worker.
    :param kwargs: ``timeout``, ``soft_fail``, ``mode``, ... of Airflow's sensors.
    :raises ValueError: a parameter cannot be used; the message names it.
    """

    # Read by Airflow's registry of providers: a retry resumes the same wait.
    __supports_durable_execution = True

    template_fields: Sequence[str] = ("pixverse_conn_id", "job_id", *OUTPUT_FIELDS)
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        job_id: str | dict[str, Any],
        output_path: str | ObjectStoragePath | None = None,
        file_name: str = DEFAULT_FILE_NAME,
        max_bytes: int = DEFAULT_MAX_BYTES,
        pixverse_conn_id: str = PixverseHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        given = {} if poke_interval is None else {"poke_interval": poke_interval}
        super().__init__(pixverse_conn_id=pixverse_conn_id, deferrable=deferrable, **given, **kwargs)
        if poke_interval is None and not self.reschedule:
            self.poke_interval = _POKE_INTERVAL
        self.job_id = job_id
        check_at_parse(self, check_job_id, job_id)
        self._set_output(output_path, file_name, max_bytes)

    @cached_property
    def _watch(self) -> JobPoller:
        job_ids = [check_job_id(self.job_id)]
        return JobPoller(job_ids, self.poke_interval, self.log, remembers=not self.reschedule)

    def _look(self) -> PokeReturnValue | bool:
        if not self._watch.has_looked:
            self.hook.get_conn()  # an unusable connection ends the wait at its first poll
        self._watch.look(self.hook)
        self._last_error, self._retry_after = self._watch.trouble, self._watch.pause
        [job] = self._watch.jobs
        if job.error is not None:
            raise job.error
        if job.result is None:
            return False
        return PokeReturnValue(is_done=True, xcom_value=_checked(job.result))

    def _wait_in_triggerer(self, context: Context) -> NoReturn:
        with suppress(PixverseTransientError):
            self.hook.get_conn()  # the same
        self._follow_in_triggerer(context)

    def _follow_in_triggerer(self, context: Context, *, first_poll_at: float | None = None) -> NoReturn:
        if self._waiting_since is None:
            self._waiting_since = time.time()
        parameters = JobParameters(
            **self._common(),
            job_ids=[check_job_id(self.job_id)],
            first_poll_at=first_poll_at,
            state={"waiting_since": self._waiting_since},
        )
        defer_wait(self, PixverseJobTrigger, parameters, context["ti"].start_date)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Turn the trigger's event into the outcome; the event does not hold the result itself."""
        match event:
            case {"status": WaitStatus.FINISHED, "results": [{"id": str()} as job], **more}:
                match more:  # a trigger that an earlier version has written has no state
                    case {"state": {"waiting_since": float(since)}}:
                        self._waiting_since = since
                return self._finish(context, _checked(self._fetch_result(job, context)))
        return super().execute_complete(context, event)

    def _fetch_result(self, job: dict[str, Any], context: Context) -> JobResult:
        """Fetch the result that the trigger has seen, or continue to wait for it."""
        try:
            [result] = fetch_results(PixverseHook(self.pixverse_conn_id), [job])
        except ResultUnavailableError as error:
            if self._waiting_since is not None and time.time() - self._waiting_since >= self.timeout:
                limit = f"within timeout={self.timeout:g} s"
                raise AirflowSensorTimeout(f"{self._unfinished()} {limit}: {error}") from error
            self.log.warning("Still waiting: %s", error)
            pause = max(error.pause, self.poke_interval)
            self._follow_in_triggerer(context, first_poll_at=time.time() + pause)
        return result

    def _finish(self, context: Context, value: Any) -> Any:
        if not self.stores_results:
            return value
        from airflow_pixverse.api.results import JobResult

        result = JobResult.model_validate(value)
        try:
            return self._store_results(context, [result])[0]
        except (ValueError, PixverseFatalError) as error:
            # A person can remove the reason, and a retry then stores the result.
            raise StorageError(f"the result is there, but not stored: {error}. A retry stores it") from error

    def _check_rendered(self) -> None:
        super()._check_rendered()
        self._check_output()
        check_job_id(self.job_id)

    def _unfinished(self) -> str:
        return f"job {check_job_id(self.job_id)} is not finished"


def _checked(result: JobResult) -> dict[str, Any]:
    """Return a finished result in its JSON form, or raise its failure."""
    result.raise_for_failure()
    return result.to_xcom()
