"""Clearing task instances with Airflow's own functions, those behind the button of its UI and its API."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

KEEP_TASK_STATE = "--keep-task-state"


def clear(arguments: Sequence[str]) -> None:
    """
    Clear task instances of one DAG run; this runs in a process that may use the database.

    It is here because ``airflow tasks clear`` knows no map index, and keeps the state of tasks.

    :param arguments: the ids of DAG, run and task, then map indexes; without any, all of the task. And
        :data:`KEEP_TASK_STATE`, as the user ticks it from Airflow 3.4 on.
    :raises LookupError: there is no such task instance.
    """
    from airflow.models.taskinstance import TaskInstance, clear_task_instances
    from airflow.utils.session import create_session

    parser = argparse.ArgumentParser()
    for name in ("dag_id", "run_id", "task_id"):
        parser.add_argument(name)
    parser.add_argument("map_indexes", nargs="*", type=int)
    parser.add_argument(KEEP_TASK_STATE, action="store_true")
    wanted = parser.parse_args(arguments)
    with create_session() as session:
        found = session.query(TaskInstance).filter_by(
            dag_id=wanted.dag_id, run_id=wanted.run_id, task_id=wanted.task_id
        )
        instances = [ti for ti in found if not wanted.map_indexes or ti.map_index in wanted.map_indexes]
        if len(instances) < max(1, len(wanted.map_indexes)):
            raise LookupError(f"Of {wanted}, only {instances} were found.")
        clear_task_instances(instances, session)
        if not wanted.keep_task_state:
            _drop_task_state(instances, session)


def _drop_task_state(instances: Sequence[Any], session: Session) -> None:
    """Delete the state of the tasks where the API does so when it clears them: from Airflow 3.4 on."""
    major, minor, *_ = version("apache-airflow").split(".")
    if (int(major), int(minor)) < (3, 4):
        return
    from airflow.api_fastapi.core_api.services.public import task_instances

    service: Any = task_instances
    service._discard_task_state_store(instances, session, event="Discarded task state on clear")  # noqa: SLF001
