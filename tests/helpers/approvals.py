"""The person whom Airflow asks, from 3.1 on."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

PATIENCE = 120


@dataclass
class Question:
    """Return the question that Airflow asked; empty until it did."""

    body: str = ""


@contextmanager
def answering(dag_id: str, task_id: str, answer: str) -> Iterator[Question]:
    """Answer the question of a task as soon as it is asked, with what is behind the button of the UI."""
    question = Question()
    with ThreadPoolExecutor() as elsewhere, _answers_reach_the_trigger():
        answered = elsewhere.submit(_answer, dag_id, task_id, answer, question)
        yield question
        answered.result()


@contextmanager
def _answers_reach_the_trigger() -> Iterator[None]:
    """Read answers from the database, as ``dag.test()`` cannot before 3.3, where no trigger is needed."""
    from airflow.api_fastapi.execution_api.datamodels.hitl import HITLDetailResponse
    from airflow.models.hitl import HITLDetail
    from airflow.providers.standard.triggers import hitl
    from airflow.utils.session import create_session

    def read(ti_id: Any) -> HITLDetailResponse:
        key = HITLDetail.ti_id.type.python_type(str(ti_id))  # up to Airflow 3.1, a string
        with create_session() as session:
            return HITLDetailResponse.from_hitl_detail_orm(session.get(HITLDetail, key))

    with mock.patch.object(hitl, "get_hitl_detail_content_detail", read):
        yield


def _answer(dag_id: str, task_id: str, answer: str, question: Question) -> None:
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session
    from fastapi import HTTPException
    from sqlalchemy.exc import OperationalError

    # From Airflow 3.4 on, it looks at the DAG, too.
    wants_dags = "dag_bag" in inspect.signature(update_hitl_detail).parameters
    run_id, question.body = _wait_for_question(dag_id, task_id)

    def send() -> None:
        with create_session() as session:
            update_hitl_detail(
                dag_id=dag_id,
                dag_run_id=run_id,
                task_id=task_id,
                map_index=-1,
                update_hitl_detail_payload=UpdateHITLDetailPayload(chosen_options=[answer]),
                user=SimpleAuthManagerUser(username="a person", role="admin"),
                session=session,
                **({"dag_bag": DBDagBag()} if wants_dags else {}),
            )

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return send()
        except (HTTPException, OperationalError):  # the task may be writing itself, into SQLite
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _wait_for_question(dag_id: str, task_id: str) -> tuple[str, Any]:
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    asked = (
        select(TaskInstance.run_id, HITLDetail.body)
        .join(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.task_id == task_id)
        # One that comes before the task is parked gets lost where the database locks no rows (SQLite). Up to
        # Airflow 3.2, ``dag.test()`` calls a parked task "queued".
        .where(HITLDetail.responded_at.is_(None), TaskInstance.state != "running")
    )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with create_session() as session:
            if row := session.execute(asked).first():
                return row.run_id, row.body
        time.sleep(0.2)
    raise TimeoutError(f"{task_id} asked nothing within {PATIENCE} s")
