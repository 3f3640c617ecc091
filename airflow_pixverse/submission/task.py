"""SubmitTask: the operator as the rest of this folder sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from airflow_pixverse.waits.deadlines import WaitingTask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.hooks.pixverse import PixverseHook
    from airflow_pixverse.journal import OnClear
    from airflow_pixverse.submission.request import SubmitRequest
    from airflow_pixverse.submission.wait_protocol import Timing
    from airflow_pixverse.waits.submit_state import SubmitState

OnUnknown = Literal["fail", "resubmit"]


class SubmitTask(WaitingTask, Protocol):
    """
    The submit operator: its parameters, and what only it can do.

    That is what needs its class: templates, the function of ``@task.pixverse``, files.
    """

    pixverse_conn_id: str
    priority_weight: int
    endpoint: str
    payload: Any
    emails: Any
    deferrable: bool
    end_from_trigger: bool
    wait_for_capacity: bool
    wait_for_completion: bool
    timing: Timing
    max_refusals: int
    on_unknown: OnUnknown
    on_clear: OnClear
    durable: bool
    report_credits: bool
    min_credits: int | None
    result_url: str
    do_xcom_push: bool
    remembers_payload: bool
    """Whether the payload is made once a try, and then travels with the task."""

    @property
    def log(self) -> Any:
        """The log of the task."""

    @property
    def hook(self) -> PixverseHook:
        """A hook that does not retry."""

    @property
    def stores_results(self) -> bool:
        """Whether the results are stored."""

    def check_is_rendered(self, *names: str) -> None:
        """Raise the error of a field that could not be rendered."""

    def mapped_item(self, map_index: int) -> str | None:
        """Return the fingerprint of the mapped item. None if the task is not mapped, or it is unknown."""

    def make_request(self, context: Context, state: SubmitState) -> SubmitRequest:
        """Return the request; it may call the user's own function."""

    def prepare_request(
        self, context: Context, request: SubmitRequest, *, check_output: bool
    ) -> SubmitRequest:
        """Return the request with its inputs uploaded, once it is certain that its result can be stored."""

    def store_results(self, context: Context, results: Sequence[JobResult]) -> list[dict[str, Any]] | None:
        """Store results, and return them in their JSON form. None if they are not to be stored."""
