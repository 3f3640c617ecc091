"""XComs of a submit task: their keys, and the values that worker and triggerer both push."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_pixverse.capabilities import XCOM_RETURN_KEY
from airflow_pixverse.links.pixverse import XCOM_KEY as URL_KEY
from airflow_pixverse.links.pixverse import PixverseResultLink
from airflow_pixverse.reports.cost import Cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_pixverse.api.results import JobResult
    from airflow_pixverse.waits.submit_state import SubmitState

JOB_IDS_KEY = "job_ids"
RESULT_KEY = "result"
COST_KEY = "cost"
UNFINISHED_KEY = "unfinished"
FAILURE_KEY = "failure"


def one_or_all(values: Sequence[dict[str, Any]], cost: Cost) -> dict[str, Any] | list[dict[str, Any]]:
    """Return the value of the task: one result, with its cost, or all there are."""
    return cost.added_to(values[0]) if len(values) == 1 else list(values)


def xcoms_of_success(
    results: Sequence[JobResult], state: SubmitState, *, do_xcom_push: bool
) -> dict[str, Any]:
    """
    Return what is left to push for a task that ends in the triggerer, in the order of a worker.

    :param results: of all jobs, each completed.
    :param do_xcom_push: whether the value of the task is pushed.
    """
    cost = Cost.of(state)
    value = one_or_all([result.to_xcom() for result in results], cost)
    url = results[0].url or ""
    # On Airflow 3, a link is an XCom that the worker pushes once the task has ended.
    link: Any = PixverseResultLink()
    xcoms = {COST_KEY: cost.to_xcom(), RESULT_KEY: value, URL_KEY: url, link.xcom_key: link.shown(url)}
    return xcoms | ({XCOM_RETURN_KEY: value} if do_xcom_push else {})
