"""Ask Airflow's API server for the state of a task instance (Airflow 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_pixverse.marks.task_try import TaskTry


def state_of(context: Context, task_try: TaskTry) -> str | None:
    """
    Return the state of the task instance, which is that of its newest try; None if it has none.

    :param context: its context.
    :param task_try: which it is.
    """
    states = context["ti"].get_task_states(
        dag_id=task_try.dag_id,
        map_index=task_try.map_index,
        task_ids=[task_try.task_id],
        run_ids=[task_try.run_id],
    )
    mapped = "" if task_try.map_index < 0 else f"_{task_try.map_index}"
    state = states.get(task_try.run_id, {}).get(f"{task_try.task_id}{mapped}")
    return None if state is None else str(getattr(state, "value", state))
