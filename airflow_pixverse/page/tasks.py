"""The columns that name a task instance, and how other tables of Airflow's database refer to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import and_

from airflow_pixverse.capabilities import RENDERED_FIELDS_ARE_OF_A_TRY

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from airflow_pixverse.page.response import TaskKey

TASK = (TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index)


def task_key(values: Sequence[Any]) -> TaskKey:
    """Return the names of a task instance, given the values of its columns."""
    dag_id, run_id, task_id, map_index = values
    return {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}


def is_of_task(model: Any, *, by_try: bool) -> ColumnElement[bool]:
    """
    Return the condition that joins a row to its task instance.

    :param by_try: the row has the id of a try, and not the names of the task instance.
    """
    if by_try:
        condition: ColumnElement[bool] = model.task_instance_id == TaskInstance.id
        return condition
    return and_(*(column == getattr(model, column.key) for column in TASK))


RENDERED_OF_TASK = is_of_task(RenderedTaskInstanceFields, by_try=RENDERED_FIELDS_ARE_OF_A_TRY)
