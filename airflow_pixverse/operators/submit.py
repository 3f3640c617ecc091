"""PixverseSubmitOperator: have something made, wait for it, and never pay for it twice."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseOperator,
    conf,
)

from airflow_pixverse.api.errors import PixverseError, PixverseFatalError
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.job_metrics import count_finished
from airflow_pixverse.keeps_results import OUTPUT_FIELDS, KeepsResults
from airflow_pixverse.links.pixverse import XCOM_KEY, PixverseResultLink
from airflow_pixverse.marks import NoMarks, add_drop_callback, mark_store_of
from airflow_pixverse.parameters import (
    as_json_list,
    check_at_parse,
    holds_reference,
    parse_choice,
    parse_conn_id,
    parse_count,
    parse_emails,
    parse_endpoint,
    parse_flag,
    parse_optional_seconds,
    parse_payload,
    parse_reply_ref,
    parse_seconds,
)
from airflow_pixverse.start_from_trigger import reason_to_begin_on_worker, start_trigger_args
from airflow_pixverse.storage.destination import DEFAULT_MAX_BYTES
from airflow_pixverse.storage.file_name import DEFAULT_FILE_NAME
from airflow_pixverse.storage.inputs import inputs_of
from airflow_pixverse.submits.admission import Admission
from airflow_pixverse.submits.cost import Cost
from airflow_pixverse.submits.errors import UnsettledError
from airflow_pixverse.submits.failure import XCOM_KEY as FAILURE_KEY
from airflow_pixverse.submits.failure import failure_of
from airflow_pixverse.submits.state import SubmitState
from airflow_pixverse.submits.timing import Timing
from airflow_pixverse.submits.triggerer_waits import TriggererWaits, first_wait_kwargs
from airflow_pixverse.submits.worker_waits import WorkerWaits
from airflow_pixverse.triggers.wait_event import WaitStatus

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.marks import MarkStore
    from airflow_pixverse.submits.request import SubmitRequest
    from airflow_pixverse.submits.waits import Waits


class PixverseSubmitOperator(KeepsResults, BaseOperator):
    """
    Submit a job to PixVerse, wait until it is finished, and return its result.

    A retry never submits a second job: it picks up the first, or, where it cannot be known whether PixVerse
    accepted it, fails and says what to look for. Only clearing the task submits, and charges, again. (An
    answer that got lost in a worker that lives counts as "not accepted" if the job is not listed for 45 s.)

    The task waits for a free slot, submits on a worker, and waits for the result. Deferrable, both waits are
    in the triggerer, at the gate that all waits of one service and token share, and the slot is kept for the
    task in between. A refusal (429) sends it back to its place in the queue. Transient trouble of the API
    ends no wait. A job that failed or was moderated, and a payload that is refused, fail the task without
    retry.

    XCom: the result, an object with ``id``, ``kind``, ``email``, ``state``, ``url``, ``prompt``, ``seed``,
    ``created_at``, ``replyRef`` and whatever else the API sends; a list of them where the endpoint made more
    than one. It is under the key ``result``, too, also when the job has failed. ``job_ids`` is a list of the
    ids, and is there as soon as they are known. ``cost`` has ``cost_credits``, ``credits_before``,
    ``credits_after`` and ``email``, null where they are not known, and is there also when the job has failed;
    the result of a single job has the credits, too. A task that fails leaves ``failure``, an object with
    ``status`` (``not submitted``, ``unknown``, ``accepted``, ``failed`` or ``moderated``), ``reason``,
    ``job_ids``, ``cost_credits`` and ``map_index``, unless its worker was killed. With
    ``wait_for_completion=False``, the XCom is an object with ``id``, ``job_ids``, ``email``, ``seed``,
    ``replyRef`` and ``cost_credits``, which ``PixverseJobSensor`` takes as its ``job_id``.

    Source: "Create a video using text prompt or image" (``POST videos/create``) and its likes.

    :param endpoint: such as ``videos/create``; any endpoint below ``videos/``, ``images/``, ``music/`` or
        ``speech/`` (templated).
    :param payload: what to send, plain JSON. Nothing in it is checked, so whatever the API learns can be used
        at once. ``replyRef`` is added, ``email`` as ``emails`` says, and a ``seed`` where the endpoint takes
        one and the payload has none. An ``ObjectStoragePath``, and a string such as ``s3://bucket/a.png``
        under a key such as ``first_frame_path``, is a file that is uploaded first (templated).
    :param emails: the accounts that may make it, one string or a list; None for the payload's ``email``, or
        any (templated).
    :param reply_ref: what ``replyRef`` begins with, in place of the name of the task; a random part is added
        (templated).
    :param output_path: the folder that the result is stored in before the task succeeds, such as
        ``s3://bucket/{{ ds }}/``; None for none (templated).
    :param file_name: name of the file, with the fields ``{type}``, ``{number}`` and ``{ext}`` (templated).
    :param max_bytes: how large the file may be, in bytes.
    :param pixverse_conn_id: id of the connection that holds the API token (templated).
    :param wait_for_capacity: wait for a free slot first. Otherwise the job is submitted at once, and a
        refusal (429) fails the task, with retries.
    :param wait_for_completion: wait for the result.
    :param deferrable: wait in the triggerer instead of a worker.
    :param start_from_trigger: let the wait for a slot begin in the triggerer, without a worker. Implies
        ``deferrable``. Where the account comes from a template that Airflow cannot render there, it begins on
        a worker; see :class:`~airflow_pixverse.sensors.pixverse.PixverseCapacitySensor`.
    :param poke_interval: seconds, or a timedelta, between two looks.
    :param capacity_timeout: seconds, or a timedelta, after which a wait for a slot fails, with retries; None
        for never.
    :param completion_timeout: seconds, or a timedelta, after which a wait for the result fails; a retry goes
        on waiting for the same job. None for never.
    :param lease: deferrable only: seconds, or a timedelta, for which the slot is kept for the submit, longer
        than a worker takes to start; 0 for not at all, None for ``max(120, 2 * poke_interval)``.
    :param max_refusals: how many refusals (429), and submits that got lost and were not listed, are waited
        out; one more fails the task, with retries.
    :param on_unknown: what to do where it cannot be known whether a job was accepted: ``fail``, or
        ``resubmit`` once a try, which may be paid for twice.
    :param durable: note what is submitted where a retry finds it. False forgets it: a retry submits again.
    :param cancel_on_kill: cancel the job when the task is killed, or marked as failed, while a worker runs
        it.
    :param report_credits: look at what the account has before the submit, where it is known which one gets
        it, and once the job is finished. Trouble with that is logged, and ends nothing.
    :raises ValueError: a parameter cannot be used; the message names it.
    """

    template_fields: Sequence[str] = (
        "pixverse_conn_id",
        "endpoint",
        "payload",
        "emails",
        "reply_ref",
        *OUTPUT_FIELDS,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"payload": "json"}
    operator_extra_links = (PixverseResultLink(),)
    ui_color = "#e3dcf5"

    _remembers_payload = False
    """Whether the payload is made once a try, and then travels with the task."""

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
        poke_interval: timedelta | float = 15.0,
        capacity_timeout: timedelta | float | None = None,
        completion_timeout: timedelta | float | None = None,
        lease: timedelta | float | None = None,
        max_refusals: int = 10,
        on_unknown: Literal["fail", "resubmit"] = "fail",
        durable: bool = True,
        cancel_on_kill: bool = False,
        report_credits: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pixverse_conn_id = pixverse_conn_id
        self.endpoint = endpoint
        self.payload = payload
        self.emails = as_json_list(emails)
        self.reply_ref = reply_ref
        self.wait_for_capacity = parse_flag(wait_for_capacity, "wait_for_capacity")
        self.wait_for_completion = parse_flag(wait_for_completion, "wait_for_completion")
        start_from_trigger = parse_flag(start_from_trigger, "start_from_trigger")
        self.deferrable = parse_flag(deferrable, "deferrable") or start_from_trigger
        self.timing = Timing(
            poke_interval=parse_seconds(poke_interval, "poke_interval"),
            capacity_timeout=parse_optional_seconds(capacity_timeout, "capacity_timeout"),
            completion_timeout=parse_optional_seconds(completion_timeout, "completion_timeout"),
            lease=parse_optional_seconds(lease, "lease"),
        )
        self.max_refusals = parse_count(max_refusals, "max_refusals")
        choices: tuple[Literal["fail", "resubmit"], ...] = ("fail", "resubmit")
        self.on_unknown = parse_choice(on_unknown, "on_unknown", choices)
        self.durable = parse_flag(durable, "durable")
        self.cancel_on_kill = parse_flag(cancel_on_kill, "cancel_on_kill")
        self.report_credits = parse_flag(report_credits, "report_credits")
        check_at_parse(self, parse_conn_id, pixverse_conn_id)
        check_at_parse(self, parse_endpoint, endpoint)
        check_at_parse(self, parse_payload, payload)
        check_at_parse(self, parse_emails, self.emails)
        check_at_parse(self, parse_reply_ref, reply_ref)
        self._set_output(output_path, file_name, max_bytes)
        if output_path is not None and not wait_for_completion:
            raise ValueError(
                "output_path needs wait_for_completion: without a result, there is nothing to store"
            )
        if durable:
            add_drop_callback(self)
        self.result_url = ""
        # What is known of the job, also where the task ends without a result.
        self._state = SubmitState.new()
        self._reason_to_begin_on_worker: str | None = None
        if start_from_trigger:
            self._begin_in_trigger()

    @cached_property
    def hook(self) -> PixverseHook:
        """The hook of this task. It does not retry: the next look does."""
        return PixverseHook(self.pixverse_conn_id, max_retries=0)

    def execute(self, context: Context) -> Any:
        """Begin, or go on where an earlier try of this task has ended."""
        if self._reason_to_begin_on_worker:
            self.log.info("The wait begins on a worker: %s", self._reason_to_begin_on_worker)
        with self._outcome(context):
            return self._go_on(context, SubmitState.new(context["ti"].try_number))

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Go on after a wait in the triggerer."""
        state = SubmitState.of_event(event)
        if state.try_number not in {0, context["ti"].try_number}:
            # "dag.test()" of Airflow 3.0 resumes a retry with the event of the try before.
            return self.execute(context)
        self._state = state
        with self._outcome(context):
            if self._waited_in_vain(event) and self._may_have_submitted(context):
                return self._go_on(context, state)
            match event:
                case {
                    "status": WaitStatus.SUCCESS,
                    "accounts": list(accounts),
                    "ticket": {"reference": random_part, "admitted_at": admitted_at, "lease": lease},
                }:
                    # Airflow begins the trigger's log anew at the next wait, and this one is gone then.
                    self.log.info("There is a slot after %.0f s", admitted_at - state.waiting_since)
                    valid_until = admitted_at + lease if lease else None
                    return self._go_on(context, state, Admission(accounts, random_part, valid_until))
                case {"status": WaitStatus.FINISHED, "results": list(results)}:
                    from airflow_pixverse.api.results import JobResult

                    payload = parse_payload(self.payload) if state.payload is None else state.payload
                    self._input_uris = [file.uri for file in inputs_of(payload)]
                    return self._finish(context, [JobResult.model_validate(one) for one in results], state)
                case {"status": WaitStatus.TOLD} if state.failure:
                    raise AirflowFailException(state.failure)
                case {"status": WaitStatus.EXECUTION_TIMEOUT, "message": message}:
                    raise AirflowTaskTimeout(message)
                case {"status": WaitStatus.FATAL, "message": message} if not state.job_ids:
                    raise PixverseFatalError(message)
                case {
                    "status": WaitStatus.TIMEOUT | WaitStatus.FATAL | WaitStatus.ERROR,
                    "message": message,
                }:
                    raise AirflowException(message + self._what_a_retry_does(state.job_ids))
            raise AirflowException(f"the trigger sent an event that this version does not know: {event!r}")

    def _waited_in_vain(self, event: dict[str, Any] | None) -> bool:
        """
        Return whether a wait for a slot that began in the trigger has ended without one.

        There, nobody knows what an earlier try has submitted.
        """
        ends = {WaitStatus.TIMEOUT, WaitStatus.FATAL, WaitStatus.ERROR}
        return event is not None and "state" not in event and event.get("status") in ends

    def _may_have_submitted(self, context: Context) -> bool:
        return any(mark.state != "not accepted" for mark in self._marks(context).read_all())

    def on_kill(self) -> None:
        """Cancel the job, if that is asked for. A trigger never does."""
        if not self.cancel_on_kill:
            return
        for job_id in self._state.job_ids:
            try:
                was_executing = self.hook.cancel(job_id)
            except PixverseError as error:
                self.log.warning("Job %s could not be cancelled: %s", job_id, error)
                continue
            if was_executing:
                self.log.info("Job %s is cancelled: its slot is free, and PixVerse may go on with it", job_id)

    def _payload(self, context: Context) -> Any:  # noqa: ARG002
        """Return what to send, as the user gave it."""
        return self.payload

    def _go_on(self, context: Context, state: SubmitState, admission: Admission | None = None) -> Any:
        """Submit, unless an earlier try has, and wait for the result."""
        from airflow_pixverse.marks.task_try import TaskTry
        from airflow_pixverse.submits.flow import SubmitFlow, SubmitRules

        request, state = self._request(context, state)
        is_first_part = admission is None or not state.try_number
        waits = self._waits(context, request)
        store = self._marks(context)
        flow = SubmitFlow(
            TaskTry.of(context),
            request,
            client=self._client(store),
            store=store,
            waits=waits,
            prepare=lambda request: self._prepared(context, request, check_output=is_first_part),
            rules=SubmitRules(
                wait_for_capacity=self.wait_for_capacity,
                max_refusals=self.max_refusals,
                on_unknown=self.on_unknown,
                report_credits=self.report_credits,
            ),
            log=self.log,
        )
        mark, news = flow.accepted(state, admission)
        context["ti"].xcom_push(key="job_ids", value=list(mark.job_ids))
        state = self._state = dataclasses.replace(
            state,
            job_ids=mark.job_ids,
            waiting_since=time.time(),
            cost_credits=mark.cost_credits,
            credits_before=mark.credits_before,
        )
        if not self.wait_for_completion:
            self._report_cost(context, state)
            return {
                "id": mark.job_ids[0],
                "job_ids": list(mark.job_ids),
                "email": mark.email,
                "seed": mark.seed,
                "replyRef": mark.reference,
                "cost_credits": mark.cost_credits,
            }
        try:
            results = waits.for_results(state, news)
        except AirflowException as error:
            raise AirflowException(f"{error}{self._what_a_retry_does(mark.job_ids)}") from error
        return self._finish(context, results, state)

    def _marks(self, context: Context) -> MarkStore:
        return mark_store_of(context) if self.durable else NoMarks()

    def _client(self, store: MarkStore) -> PixverseClient:
        """Return the client. That it cannot be made ends no wait for a job that is paid for."""
        from airflow_pixverse.submits.history import accepted_before

        try:
            return self.hook.get_conn()
        except PixverseFatalError as error:
            if mark := accepted_before(store.read_all()):
                raise AirflowException(f"{error}{self._what_a_retry_does(mark.job_ids)}") from error
            raise

    def _begin_in_trigger(self) -> None:
        payload = self.payload
        is_known = isinstance(payload, dict) and not holds_reference(payload.get("email"))
        emails = self.emails or (payload.get("email") if is_known else None)
        if not self.wait_for_capacity:
            self._reason_to_begin_on_worker = "it does not wait for a slot"
        elif self._remembers_payload or not (self.emails or is_known):
            self._reason_to_begin_on_worker = "the payload, which may name an account, is not known yet"
        else:
            dag = self.dag if self.has_dag() else None  # type: ignore[no-untyped-call]
            self._reason_to_begin_on_worker = reason_to_begin_on_worker([self.pixverse_conn_id, emails], dag)
        if self._reason_to_begin_on_worker is None:
            # Here and not on the class, where a mapped task would take the values for its own.
            self.start_from_trigger = True
            kwargs = first_wait_kwargs(
                self.pixverse_conn_id, as_json_list(emails), self.timing, self.execution_timeout
            )
            self.start_trigger_args = start_trigger_args(kwargs)

    def _request(self, context: Context, state: SubmitState) -> tuple[SubmitRequest, SubmitState]:
        """Return what to submit, and the state that remembers it where it is not to be made again."""
        from airflow_pixverse.submits.request import SubmitRequest

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
        if self._remembers_payload:
            state = dataclasses.replace(state, payload=request.payload)
        return request, state

    def _prepared(self, context: Context, request: SubmitRequest, *, check_output: bool) -> SubmitRequest:
        """Return the request with its inputs uploaded, once it is certain that its result can be stored."""
        if self.output_path is not None and check_output:
            from airflow_pixverse.storage.paths import object_path
            from airflow_pixverse.storage.whole_file import check_writable

            check_writable(object_path(self._destination().folder))
        if not request.inputs:
            return request
        from airflow_pixverse.storage.run_uploads import RunUploads

        hook = PixverseHook(self.pixverse_conn_id)  # which repeats what gets lost
        return request.with_uploads(RunUploads(context["ti"], self._submitting_tasks(), hook.get_conn))

    def _submitting_tasks(self) -> list[str]:
        """Return the ids of the tasks of this DAG that upload inputs."""
        classes = {task.task_id: getattr(task, "operator_class", type(task)) for task in self.dag.tasks}
        return [name for name, kind in classes.items() if issubclass(kind, PixverseSubmitOperator)]

    def _waits(self, context: Context, request: SubmitRequest) -> Waits:
        if not self.deferrable:
            return WorkerWaits(self.hook, request.emails, self.timing, self.log)
        return TriggererWaits(
            self,
            context["ti"].start_date,
            pixverse_conn_id=self.pixverse_conn_id,
            emails=request.emails,
            timing=self.timing,
        )

    def _finish(self, context: Context, results: list[JobResult], state: SubmitState) -> Any:
        """Return the results in their JSON form, stored if that is asked for, or raise why there is none."""
        cost = self._report_cost(context, state, is_finished=True)
        value = _one_or_all([result.to_xcom() for result in results], cost)
        context["ti"].xcom_push(key="result", value=value)
        completed = [result for result in results if result.is_completed]
        if not completed:
            count_finished(results, self.endpoint)
            results[0].raise_for_failure()
        self.result_url = completed[0].url or ""
        context["ti"].xcom_push(key=XCOM_KEY, value=self.result_url)
        for result in results:
            if not result.is_completed:
                self.log.warning("Job %s: %s %s", result.id, result.state, result.reason)
        if self.output_path is not None:
            value = _one_or_all(self._stored(context, results), cost)
            context["ti"].xcom_push(key="result", value=value)
        # Last, so that a try which does not come to its end here counts nothing twice.
        count_finished(results, self.endpoint)
        return value

    def _stored(self, context: Context, results: list[JobResult]) -> list[dict[str, Any]]:
        """Return the results, stored. Whatever goes wrong with that, the task must not submit again."""
        try:
            return self._kept(context, results)
        except (Exception, AirflowTaskTimeout) as error:  # which is no Exception
            text = f"the result is there and paid for, but not stored: {error}. "
            if self.durable:
                text += "A retry only stores it. To clear this task would pay again; "
            text += "PixverseDownloadOperator stores it, too, from the XCom 'result' of this task"
            raise (AirflowException if self.durable else AirflowFailException)(text) from error

    def _report_cost(self, context: Context, state: SubmitState, *, is_finished: bool = False) -> Cost:
        """Tell what the jobs have cost, in the log and as XCom, and return it."""
        cost = Cost.of(state)
        if is_finished and self.report_credits:
            cost = cost.after(self.hook)
        if line := cost.describe(state.job_ids):
            self.log.info("%s", line)
        context["ti"].xcom_push(key="cost", value=cost.to_xcom())
        return cost

    def _what_a_retry_does(self, job_ids: Sequence[str]) -> str:
        if not (job_ids and self.durable):
            return ""
        return f". A retry goes on waiting for {', '.join(job_ids)}, which is not paid for again"

    @contextmanager
    def _outcome(self, context: Context) -> Iterator[None]:
        """Fail without retry what a retry could not mend, and leave word of what has become of the job."""
        try:
            yield
        except AirflowSkipException:
            raise
        except (Exception, AirflowTaskTimeout) as error:  # which is no Exception
            self._leave_word(context, error)
            if isinstance(error, (PixverseFatalError, UnsettledError)):
                raise AirflowFailException(str(error)) from error
            raise

    def _leave_word(self, context: Context, error: BaseException) -> None:
        """Tell as XCom what has become of the job. That this fails changes nothing of how the task ends."""
        ti = context["ti"]
        try:
            read_marks = self._marks(context).read_all if self.durable else None
            failure = failure_of(error, self._state.job_ids, read_marks)
            more = {"cost_credits": self._state.cost_credits, "map_index": ti.map_index}
            ti.xcom_push(key=FAILURE_KEY, value=failure | more)
        except Exception as trouble:  # noqa: BLE001 - each XCom backend has its own
            self.log.warning("The XCom %r could not be written: %s", FAILURE_KEY, trouble)


def _one_or_all(values: list[dict[str, Any]], cost: Cost) -> dict[str, Any] | list[dict[str, Any]]:
    """Return what a task returns: one result, with its cost, or all there are."""
    return cost.added_to(values[0]) if len(values) == 1 else values
