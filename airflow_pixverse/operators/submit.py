"""PixverseSubmitOperator: submit a PixVerse job, wait for its result, and never submit it twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import AirflowException, BaseOperator, conf

from airflow_pixverse.api.errors import PixverseFatalError
from airflow_pixverse.capabilities import is_deferral_timeout
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.journal import add_drop_callback
from airflow_pixverse.links.pixverse import PixverseResultLink
from airflow_pixverse.operators.render_errors import KeepsRenderErrors
from airflow_pixverse.parameters import (
    as_json_list,
    check_at_parse,
    parse_choice,
    parse_conn_id,
    parse_count,
    parse_emails,
    parse_flag,
    parse_optional_seconds,
    parse_seconds,
)
from airflow_pixverse.storage.destination import DEFAULT_FILE_NAME, DEFAULT_MAX_BYTES
from airflow_pixverse.storage.inputs import inputs_of
from airflow_pixverse.storage.stores_results import OUTPUT_FIELDS, StoresResults
from airflow_pixverse.submission.request import (
    SubmitRequest,
    fingerprint,
    parse_endpoint,
    parse_payload,
    parse_reply_ref,
)
from airflow_pixverse.submission.triggerer_waits import begin_without_worker, reason_of_mapped_payloads
from airflow_pixverse.submission.wait_protocol import Timing
from airflow_pixverse.waits.begins_in_triggerer import BeginsInTriggerer
from airflow_pixverse.waits.events import WaitStatus
from airflow_pixverse.waits.submit_state import SubmitState

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath
    from airflow.triggers.base import StartTriggerArgs

    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.journal import OnClear
    from airflow_pixverse.submission.flow import SubmitFlow
    from airflow_pixverse.submission.task import OnUnknown


class PixverseSubmitOperator(BeginsInTriggerer, KeepsRenderErrors, StoresResults, BaseOperator):
    """
    Submit a job to PixVerse, wait until it is finished, and return its result.

    A retry never submits a second job: it picks up the first, or, where it cannot be known whether PixVerse
    accepted it, fails and says what to look for. Only clearing a task that has succeeded, or whose job has
    failed, submits and charges again. ``docs/explanation/never-paid-twice.md`` has the exact rules.

    The task waits for a free slot, submits on a worker, and waits for the result. Deferrable, both waits are
    in the triggerer, at the gate that all waits of one service and token share, and the slot is kept for the
    task in between. A refusal (429) sends it back to its place in the queue. Transient errors end no wait. A
    job that failed or was moderated, and a payload that is refused, fail the task without retry.

    XCom: the result, an object with ``id``, ``kind``, ``email``, ``state``, ``url``, ``prompt``, ``seed``,
    ``created_at``, ``replyRef`` and whatever else the API sends, and with the credits that the job cost; a
    list of them where the endpoint made more than one. With ``wait_for_completion=False``, an object with
    ``id``, ``job_ids``, ``email``, ``seed``, ``replyRef`` and ``cost_credits``, which ``PixverseJobSensor``
    takes as its ``job_id``. Further keys are ``result``, ``job_ids``, ``unfinished``, ``cost``, ``failure``
    and ``result_url``, see ``docs/reference/xcoms.md``.

    Source: "Create a video using text prompt or image" (``POST videos/create``) and the other kinds.

    :param endpoint: any endpoint below ``videos/``, ``images/``, ``music/`` or ``speech/`` (templated).
    :param payload: what to send, plain JSON. Nothing in it is checked, so whatever the API learns can be used
        at once. ``replyRef`` is added, ``email`` as ``emails`` or the leased slot says, and a ``seed`` where
        the endpoint takes one and the payload has none. An ``ObjectStoragePath``, and a string such as
        ``s3://bucket/a.png`` under a key such as ``first_frame_path``, is a file that is uploaded first
        (templated).
    :param emails: the accounts that may make it, one string or a list; None for the payload's ``email``, or
        any (templated).
    :param reply_ref: start of ``replyRef``, before a random part; None for the task's name (templated).
    :param output_path: the folder that the result is stored in before the task succeeds, such as
        ``s3://bucket/videos/``; None to store nothing (templated).
    :param file_name: name of the file, with the fields ``{type}``, ``{number}`` and ``{ext}`` (templated).
    :param max_bytes: size limit of a file, in bytes; 5 GiB unless set.
    :param pixverse_conn_id: id of the connection that holds the API token (templated).
    :param wait_for_capacity: wait for a free slot first. Otherwise the job is submitted at once, and a
        refusal (429) fails the task, with retries.
    :param wait_for_completion: wait for the result.
    :param deferrable: wait in the triggerer instead of a worker.
    :param start_from_trigger: let the wait for a slot begin in the triggerer, without a worker. Implies
        ``deferrable``. Where the account comes from mapping, or from a template that Airflow cannot render
        there, it begins on a worker; see :class:`~airflow_pixverse.sensors.pixverse.PixverseCapacitySensor`.
    :param end_from_trigger: let the triggerer end the task once its jobs are completed; a worker handles
        every other end. Implies ``deferrable``. On Airflow 3.3 and later, for tasks without ``output_path``,
        ``outlets``, success callbacks, ``post_execute`` and ``report_credits``, with ``on_clear="submit"``
        or ``durable=False``: only a worker drops the journal. Otherwise it ends on a worker, and the log
        says why.
    :param poke_interval: seconds, or a timedelta, between two polls.
    :param capacity_timeout: seconds, or a timedelta, after which a wait for a slot fails, with retries; None
        for never.
    :param completion_timeout: seconds, or a timedelta, after which a wait for the result fails; a retry goes
        on waiting for the same job. None for never.
    :param lease: deferrable only: seconds, or a timedelta, for which the slot is kept for the submit, longer
        than a worker takes to start; 0 for not at all, None for 120. A worker that starts later submits if
        there is still a free slot, and otherwise goes back to its place in the queue. With a lease, the
        worker may be started a little before a slot is expected, and looks for it for a minute at most.
    :param max_refusals: how many refusals (429) are waited out; one more fails the task, with retries.
    :param on_unknown: what to do if it is unknown whether a job was accepted: ``fail``, or ``resubmit`` once
        a try, which may be paid for twice. A job that gets lost after that fails the task.
    :param on_clear: after a clear, ``resume`` takes up a job that was accepted and has neither failed nor
        been moderated, unless the task has succeeded since; ``submit`` submits, and pays, again.
        On Airflow 3.4, tick "keep task state" when you clear the task: without it, each clear submits and
        pays again. ``docs/explanation/never-paid-twice.md#after-a-clear``
    :param durable: write a journal, in which a retry finds what was submitted. False: a retry submits again.
    :param cancel_on_kill: cancel the job when the task is killed while a worker runs it, or marked as failed,
        unless a retry follows, which picks the job up.
    :param min_credits: credits that an account keeps: one that has no more gets no job. The task waits for a
        slot of one that has more. If none has more, it fails without retry. None for what the connection's
        extra says.
    :param report_credits: report the credits of the account, if it is known, before the submit and once the
        job is finished. Deferrable, the triggerer reads them for all its tasks, so the first may be a minute
        old. An error of that is logged, and ends nothing.
    :raises ValueError: a parameter cannot be used; the message names it.
    """

    # Airflow's registry of providers asks each class for itself whether its job outlives a crash.
    __supports_durable_execution = True

    template_fields: Sequence[str] = (
        *("pixverse_conn_id", "endpoint", "payload", "emails", "reply_ref"),
        *OUTPUT_FIELDS,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"payload": "json"}
    operator_extra_links = (PixverseResultLink(),)
    ui_color = "#e3dcf5"

    unused_by_first_wait: ClassVar[Mapping[str, Any]] = {
        "payload": {},
        "endpoint": "videos/create",
        "reply_ref": None,
        "output_path": None,
        "file_name": DEFAULT_FILE_NAME,
        "max_bytes": DEFAULT_MAX_BYTES,
    }
    remembers_payload = False

    def __init__(
        self,
        *,
        payload: Any,
        endpoint: str = "videos/create",
        emails: str | Iterable[str] | None = None,
        reply_ref: str | None = None,
        output_path: str | ObjectStoragePath | None = None,
        file_name: str = DEFAULT_FILE_NAME,
        max_bytes: int = DEFAULT_MAX_BYTES,
        pixverse_conn_id: str = PixverseHook.default_conn_name,
        wait_for_capacity: bool = True,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        start_from_trigger: bool = False,
        end_from_trigger: bool = False,
        poke_interval: timedelta | float = 5.0,
        capacity_timeout: timedelta | float | None = None,
        completion_timeout: timedelta | float | None = None,
        lease: timedelta | float | None = None,
        max_refusals: int = 10,
        on_unknown: Literal["fail", "resubmit"] = "fail",
        on_clear: Literal["resume", "submit"] = "resume",
        durable: bool = True,
        cancel_on_kill: bool = False,
        report_credits: bool = False,
        min_credits: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pixverse_conn_id = pixverse_conn_id
        self.endpoint, self.payload = endpoint, payload
        self.emails, self.reply_ref = as_json_list(emails), reply_ref
        self.wait_for_capacity = parse_flag(wait_for_capacity, "wait_for_capacity")
        self.wait_for_completion = parse_flag(wait_for_completion, "wait_for_completion")
        start_from_trigger = parse_flag(start_from_trigger, "start_from_trigger")
        self.end_from_trigger = parse_flag(end_from_trigger, "end_from_trigger")
        self.deferrable = parse_flag(deferrable, "deferrable") or start_from_trigger or end_from_trigger
        self.timing = Timing(
            poke_interval=parse_seconds(poke_interval, "poke_interval"),
            capacity_timeout=parse_optional_seconds(capacity_timeout, "capacity_timeout"),
            completion_timeout=parse_optional_seconds(completion_timeout, "completion_timeout"),
            lease=parse_optional_seconds(lease, "lease"),
        )
        self.max_refusals = parse_count(max_refusals, "max_refusals")
        self.on_unknown: OnUnknown = parse_choice(on_unknown, "on_unknown", ("fail", "resubmit"))
        self.on_clear: OnClear = parse_choice(on_clear, "on_clear", ("resume", "submit"))
        self.durable = parse_flag(durable, "durable")
        self.cancel_on_kill = parse_flag(cancel_on_kill, "cancel_on_kill")
        self.report_credits = parse_flag(report_credits, "report_credits")
        self.min_credits = None if min_credits is None else parse_count(min_credits, "min_credits")
        check_at_parse(self, parse_conn_id, pixverse_conn_id)
        check_at_parse(self, parse_endpoint, endpoint)
        check_at_parse(self, parse_payload, payload)
        check_at_parse(self, parse_emails, self.emails)
        check_at_parse(self, parse_reply_ref, reply_ref)
        self._set_output(output_path, file_name, max_bytes)
        if output_path is not None and not wait_for_completion:
            raise ValueError("output_path needs wait_for_completion: there is no result to store without it")
        if durable:
            add_drop_callback(self)
        self.result_url = ""
        self._flow: SubmitFlow | None = None
        if start_from_trigger:
            self._begin_in_triggerer()

    @classmethod
    def reason_of_mapping(cls, mapped: Mapping[str, Any], common: Mapping[str, Any]) -> str | None:
        """Return the reason why the mapping of a task makes it begin on a worker; None if it does not."""
        if reason := super().reason_of_mapping(mapped, common):
            return reason
        is_named = "payload" not in mapped or common.get("emails")
        return None if is_named else reason_of_mapped_payloads(mapped["payload"])

    def _first_wait(self, dag: Any) -> StartTriggerArgs | str:
        return begin_without_worker(self, dag)

    @cached_property
    def hook(self) -> PixverseHook:
        """The hook of this task. It does not retry: the next poll does."""
        return PixverseHook(self.pixverse_conn_id, max_retries=0)

    def execute(self, context: Context) -> Any:
        """Submit, or pick up the job of an earlier try of this task."""
        if reason := self._why_it_begins_on_worker():
            self.log.info("The wait begins on a worker: %s", reason)
        # Airflow's registry of providers reads here that the operator may defer.
        return self._new_flow(context, is_deferrable=self.deferrable).begin()

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Go on after a wait in the triggerer."""
        self.hook.read_again()  # dag.test() resumes in the same process, and a token may have been replaced
        state = SubmitState.of_event(event)
        status = None if event is None else event.get("status")
        if state.try_number > context["ti"].try_number:
            raise AirflowException("the event is of a later try, so Airflow has given this one up")
        # "dag.test()" of Airflow 3.0 resumes a retry with the event of the try before.
        if status == WaitStatus.RETRY or state.try_number not in {0, context["ti"].try_number}:
            return self.execute(context)
        if status == WaitStatus.FINISHED:
            self._input_uris = self._inputs_of(state)
        return self._new_flow(context, state, is_deferrable=True).resume(event)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral. Wait on if Airflow ended it, which defers for no more than a year."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            # Only the journal tells whether the task was waiting for a slot or for what it has paid for.
            if not (self.durable and is_deferral_timeout(error)):
                raise
            flow = self._new_flow(context, is_deferrable=True)
            if not flow.has_time_left():
                raise
        return flow.wait_on()

    def on_kill(self) -> None:
        """Cancel the job, if that is asked for and no retry picks it up. A trigger never does."""
        if self.cancel_on_kill and self._flow:
            self._flow.cancel_unless_retried()

    def _new_flow(
        self, context: Context, state: SubmitState | None = None, *, is_deferrable: bool
    ) -> SubmitFlow:
        from airflow_pixverse.submission.flow import SubmitFlow

        self._flow = SubmitFlow(self, context, state, is_deferrable=is_deferrable)
        return self._flow

    # SubmitTask (submission/task.py), as far as it is not above:

    def mapped_item(self, map_index: int) -> str | None:
        """Return the fingerprint of the mapped item. None if the task is not mapped, or it is unknown."""
        return None if map_index < 0 or self._unrendered else fingerprint(self._mapped_values())

    def make_request(self, context: Context, state: SubmitState) -> SubmitRequest:
        """
        Return the request.

        :raises PixverseFatalError: a rendered parameter cannot be used.
        """
        self.check_is_rendered(*self.template_fields)
        is_parsed = state.payload is not None
        payload = state.payload if is_parsed else self._payload(context)
        try:
            parse_conn_id(self.pixverse_conn_id)
            self._check_output()
            request = SubmitRequest.parse(
                self.endpoint, payload, self.emails, self.reply_ref, is_parsed=is_parsed
            )
        except ValueError as error:
            raise PixverseFatalError(str(error)) from None
        self._input_uris = [file.uri for file in request.inputs]
        return request

    def prepare_request(
        self, context: Context, request: SubmitRequest, *, check_output: bool
    ) -> SubmitRequest:
        """Return the request with its inputs uploaded, once it is certain that its result can be stored."""
        if check_output:
            self._check_writable()
        if not request.inputs:
            return request
        from airflow_pixverse.storage.upload import RunUploads

        hook = PixverseHook(self.pixverse_conn_id)  # which repeats what gets lost
        return request.with_uploads(RunUploads(context["ti"], self._submitting_tasks(), hook.get_conn))

    def store_results(self, context: Context, results: Sequence[JobResult]) -> list[dict[str, Any]] | None:
        """Store results, and return them in their JSON form. None if they are not to be stored."""
        if not self.stores_results:
            return None
        self.check_is_rendered(*OUTPUT_FIELDS)
        return self._store_results(context, results)

    def _payload(self, context: Context) -> Any:  # noqa: ARG002
        """Return the payload as the user gave it."""
        return self.payload

    def _mapped_values(self) -> Any:
        """Return the values that this instance is mapped to."""
        mapped = self.dag.task_dict[self.task_id]
        common: Any = getattr(mapped, "partial_kwargs", {})
        return {name: getattr(self, name) for name in self.template_fields if name not in common}

    def _inputs_of(self, state: SubmitState) -> list[str]:
        """Return the URIs of the inputs of a job that was submitted, as far as the payload tells them."""
        try:
            payload = parse_payload(self.payload) if state.payload is None else state.payload
            return [file.uri for file in inputs_of(payload)]
        except ValueError as error:
            self.log.warning("The inputs of the job are unknown: %s", error)
            return []

    def _submitting_tasks(self) -> list[str]:
        """Return the ids of the tasks of this DAG that upload inputs."""
        classes = {task.task_id: getattr(task, "operator_class", type(task)) for task in self.dag.tasks}
        return [name for name, kind in classes.items() if issubclass(kind, PixverseSubmitOperator)]
