"""Clearing task instances with Airflow's own function, the one behind the button of its UI and its API."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def clear(arguments: Sequence[str]) -> None:
    """
    Clear task instances of one DAG run; this runs in a process that may use the database.

    It is here because ``airflow tasks clear`` knows no map index.

    :param arguments: the ids of DAG, run and task, then map indexes; without any, all of the task.
    :raises LookupError: there is no such task instance.
    """
    from airflow.models.taskinstance import TaskInstance, clear_task_instances
    from airflow.utils.session import create_session

    parser = argparse.ArgumentParser()
    for name in ("dag_id", "run_id", "task_id"):
        parser.add_argument(name)
    parser.add_argument("map_indexes", nargs="*", type=int)
    wanted = parser.parse_args(arguments)
    with create_session() as session:
        found = session.query(TaskInstance).filter_by(
            dag_id=wanted.dag_id, run_id=wanted.run_id, task_id=wanted.task_id
        )
        instances = [ti for ti in found if not wanted.map_indexes or ti.map_index in wanted.map_indexes]
        if len(instances) < max(1, len(wanted.map_indexes)):
            raise LookupError(f"Of {wanted}, only {instances} were found.")
        clear_task_instances(instances, session)
