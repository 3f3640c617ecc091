"""PixverseJobSensor: wait for the result of a job."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import PokeReturnValue, conf

from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.job_watch import JobWatch
from airflow_pixverse.keeps_results import OUTPUT_FIELDS, KeepsResults
from airflow_pixverse.parameters import check_at_parse, parse_job_id
from airflow_pixverse.sensors.base import PixverseSensor
from airflow_pixverse.storage.destination import DEFAULT_MAX_BYTES
from airflow_pixverse.storage.file_name import DEFAULT_FILE_NAME
from airflow_pixverse.triggers.job import PixverseJobTrigger
from airflow_pixverse.triggers.wait_event import WaitStatus

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_pixverse.api.results import JobResult


class PixverseJobSensor(KeepsResults, PixverseSensor):
    """
    Wait until a PixVerse job is finished, wherever it was submitted, and return its result.

    While the job is executing, only the list of executing jobs is looked at; deferred, all waits of one
    service and token share that look. When the job has left the list, or never was there, its result is asked
    for. Transient trouble of the API never ends a wait before ``timeout``; a job that failed or was moderated
    fails the task with the reason, without retry, also under ``soft_fail``.

    It maps over the XCom of the list operator: ``PixverseJobSensor.partial(...).expand(job_id=list.output)``.

    XCom: the result: an object with ``id``, ``kind``, ``email``, ``state``, ``url``, ``prompt``, ``seed``,
    ``created_at``, ``replyRef`` (null where the API does not tell) and whatever else the API sends.

    Source: "Retrieve generated video using the video_id" (``GET videos/{id}``) and its likes.

    :param job_id: id of the job, or an object with its ``id``, such as an item of the list operator's XCom
        (templated).
    :param output_path: the folder that the result is stored in before the task succeeds, such as
        ``s3://bucket/{{ ds }}/``; None for none (templated). A retry of a task that could not store it waits
        for, and stores, the same job.
    :param file_name: name of the file, with the fields ``{type}``, ``{number}`` and ``{ext}`` (templated).
    :param max_bytes: how large the file may be, in bytes.
    :param pixverse_conn_id: id of the connection that holds the API token (templated).
    :param deferrable: wait in the triggerer instead of a worker.
    :param kwargs: ``poke_interval``, ``timeout``, ``soft_fail``, ``mode``, ... of Airflow's sensors.
    :raises ValueError: a parameter cannot be used; the message names it.
    """

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
        **kwargs: Any,
    ) -> None:
        super().__init__(pixverse_conn_id=pixverse_conn_id, deferrable=deferrable, **kwargs)
        self.job_id = job_id
        check_at_parse(self, parse_job_id, job_id)
        self._set_output(output_path, file_name, max_bytes)

    @cached_property
    def _watch(self) -> JobWatch:
        return JobWatch(parse_job_id(self.job_id), self.poke_interval, self.log)

    def _look(self) -> PokeReturnValue | bool:
        result = self._watch.look(self.hook, {job.id for job in self.hook.list_executing()})
        if self._watch.has_looked:
            self._last_error = None
        if result is None:
            return False
        return PokeReturnValue(is_done=True, xcom_value=_checked(result))

    def _wait_in_triggerer(self, context: Context) -> None:
        kwargs = self._limits() | {
            "pixverse_conn_id": self.pixverse_conn_id,
            "job_ids": [parse_job_id(self.job_id)],
        }
        self._defer(PixverseJobTrigger, kwargs, context)

    def _complete(self, event: dict[str, Any] | None) -> Any:
        from airflow_pixverse.api.results import JobResult

        match event:
            case {"status": WaitStatus.FINISHED, "results": [dict(result)]}:
                return _checked(JobResult.model_validate(result))
        return super()._complete(event)

    def _finish(self, context: Context, value: Any) -> Any:
        if self.output_path is None:
            return value
        from airflow_pixverse.api.results import JobResult

        return self._kept(context, [JobResult.model_validate(value)])[0]

    def _check_rendered(self) -> None:
        super()._check_rendered()
        self._check_output()
        parse_job_id(self.job_id)

    def _unfinished(self) -> str:
        return f"job {parse_job_id(self.job_id)} is not finished"


def _checked(result: JobResult) -> dict[str, Any]:
    """Return a finished result in its JSON form, or raise why there is none."""
    result.raise_for_failure()
    return result.to_xcom()
