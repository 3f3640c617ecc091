"""The running batches, with the progress that each pushes as an XCom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.models import xcom
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import TaskInstanceState
from sqlalchemy import and_, select

from airflow_pixverse.batch.progress import PROGRESS_KEY
from airflow_pixverse.capabilities import XCOMS_ARE_OF_A_TRY
from airflow_pixverse.page.tasks import RENDERED_OF_TASK, TASK, is_of_task, task_key
from airflow_pixverse.parameters import from_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from airflow_pixverse.page.response import Batch, TaskKey

_OPERATORS = ("PixverseBatchOperator", "PixverseBatchDecoratedOperator")
# From Airflow 3.4 on, XComModel is a union with the XComs of earlier versions, which no index serves here.
_XCom: Any = xcom.XComModelV2 if XCOMS_ARE_OF_A_TRY else xcom.XComModel
_TOO_LARGE = 1e15


def read_batches(session: Session) -> dict[str, list[Batch]]:
    """Return the running batches of each connection, the oldest first."""
    batches: dict[str, list[Batch]] = defaultdict(list)
    is_progress = and_(is_of_task(_XCom, by_try=XCOMS_ARE_OF_A_TRY), _XCom.key == PROGRESS_KEY)
    rows = session.execute(
        select(*TASK, TaskInstance.start_date, _XCom.value, RenderedTaskInstanceFields.rendered_fields)
        .outerjoin(_XCom, is_progress)
        .outerjoin(RenderedTaskInstanceFields, RENDERED_OF_TASK)
        .where(TaskInstance.operator.in_(_OPERATORS), TaskInstance.state == TaskInstanceState.RUNNING)
        .order_by(TaskInstance.start_date, *TASK)
    )
    for *task, started, value, rendered in rows:
        progress = _progress(value)
        # Airflow keeps rendered fields of the last runs only, and a custom XCom backend may keep no progress.
        connection = (rendered or {}).get("pixverse_conn_id") or progress.get("pixverse_conn_id")
        if isinstance(connection, str):
            batches[connection].append(
                _batch(task_key(task), started.timestamp() if started else None, progress)
            )
    return dict(batches)


def _batch(task: TaskKey, since: float | None, progress: Mapping[str, Any]) -> Batch:
    return {
        **task,
        "since": since,
        "at": _number(progress.get("at")),
        "counts": _counts(progress.get("counts")),
        "rate": _number(progress.get("rate")),
        "seconds_left": _number(progress.get("seconds_left")),
        "cost_credits": _number(progress.get("cost_credits")),
    }


# Other code may have pushed the XCom, and a custom backend may store a reference in its place.


def _progress(value: Any) -> Mapping[str, Any]:
    """Return the progress, which some versions of Airflow store as a string of JSON; empty if unknown."""
    if isinstance(value, str):
        value = from_json(value)
    return value if isinstance(value, Mapping) else {}


def _counts(value: Any) -> dict[str, float] | None:
    counts = value.items() if isinstance(value, Mapping) else ()
    return {str(status): number for status, count in counts if (number := _number(count)) is not None} or None


def _number(value: Any) -> float | None:
    """Return a number that JSON can hold; None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 0 <= value < _TOO_LARGE else None
