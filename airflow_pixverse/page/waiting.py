"""Who waits: read from Airflow's database, columns only, since objects would cost seven times as much."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskreschedule import TaskReschedule
from airflow.models.trigger import Trigger
from airflow.utils.state import TaskInstanceState
from sqlalchemy import and_, func, or_, select

from airflow_pixverse.deadlines import Deadlines
from airflow_pixverse.parameters import templates
from airflow_pixverse.wait_parameters import WaitParameters

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from airflow_pixverse.page.answer import WaitMode

_CLASSPATH = "airflow_pixverse.triggers.pixverse.PixverseCapacityTrigger"
_SENSOR = "PixverseCapacitySensor"
# A deferrable sensor runs on a worker for a moment before it defers, which is no wait.
_RUNS_BEFORE_DEFERRING = timedelta(seconds=10)

_TASK = (TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WaitingTask:
    """
    A task that waits for slots; see :class:`airflow_pixverse.page.answer.Wait` for the fields not named here.

    :param connection: id of the connection.
    :param turn: what the queue is sorted by: when the wait began, and the id of its trigger.
    """

    connection: str
    turn: tuple[float, int]
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    slots: int | None
    emails: list[str] | None
    since: float | None
    times_out_at: float | None
    mode: WaitMode


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a wait asks for, and whether ``slots`` is known; it is not while it is a template."""

    parameters: WaitParameters
    slots: int | None


class DeferredTasks:
    """
    The tasks in the queues of the triggerers.

    What each asks for is encrypted, and decrypted once. It is kept by its ciphertext, since SQLite gives the
    id of a trigger that has ended to another one.
    """

    def __init__(self) -> None:
        self._asked: dict[str, _Asked | None] = {}

    def read(self, session: Session) -> list[WaitingTask]:
        """Return the tasks, in no order."""
        rows = session.execute(
            select(
                *_TASK,
                Trigger.id,
                Trigger.encrypted_kwargs,
                TaskInstance.trigger_timeout,
                TaskInstance.start_date,
            )
            .join(TaskInstance, TaskInstance.trigger_id == Trigger.id)
            .where(Trigger.classpath == _CLASSPATH, TaskInstance.state == TaskInstanceState.DEFERRED)
        ).all()
        before, self._asked = self._asked, {}
        tasks = []
        for dag_id, run_id, task_id, map_index, trigger_id, encrypted, deferral_ends, started in rows:
            asked = before[encrypted] if encrypted in before else _decrypted(encrypted)
            self._asked[encrypted] = asked
            if asked is None:
                continue
            parameters = asked.parameters
            deadlines = Deadlines.of_wait(parameters, deferral_ends=deferral_ends, started=started)
            end, _ = deadlines.first
            tasks.append(
                WaitingTask(
                    parameters.pixverse_conn_id,
                    (deadlines.since, trigger_id),
                    dag_id,
                    run_id,
                    task_id,
                    map_index,
                    slots=asked.slots,
                    emails=parameters.emails,
                    since=deadlines.since,
                    times_out_at=None if end == math.inf else end,
                    mode="deferred",
                )
            )
        return tasks


def looking_tasks(session: Session) -> list[WaitingTask]:
    """Return the sensors that look for themselves, in poke and reschedule mode, in no order."""
    first_look = (
        select(func.min(TaskReschedule.start_date))
        .where(TaskReschedule.ti_id == TaskInstance.id)
        .scalar_subquery()
    )
    runs_for_long = TaskInstance.start_date < datetime.now(UTC) - _RUNS_BEFORE_DEFERRING
    between_looks = (TaskInstanceState.RUNNING, TaskInstanceState.QUEUED, TaskInstanceState.SCHEDULED)
    rows = session.execute(
        select(*_TASK, TaskInstance.start_date, first_look, RenderedTaskInstanceFields.rendered_fields)
        # Airflow keeps them of the last runs only.
        .outerjoin(
            RenderedTaskInstanceFields,
            and_(*(column == getattr(RenderedTaskInstanceFields, column.key) for column in _TASK)),
        )
        .where(
            TaskInstance.operator == _SENSOR,
            TaskInstance.next_method.is_(None),
            or_(
                TaskInstance.state == TaskInstanceState.UP_FOR_RESCHEDULE,
                and_(TaskInstance.state == TaskInstanceState.RUNNING, runs_for_long),
                and_(TaskInstance.state.in_(between_looks), first_look.is_not(None)),
            ),
        )
    ).all()
    tasks = []
    for dag_id, run_id, task_id, map_index, started, first, rendered in rows:
        asked = _asked(rendered or {})
        began = first or started
        since = began.timestamp() if began else None
        tasks.append(
            WaitingTask(
                asked.parameters.pixverse_conn_id,
                (math.inf if since is None else since, 0),
                dag_id,
                run_id,
                task_id,
                map_index,
                slots=asked.slots,
                emails=asked.parameters.emails,
                since=since,
                times_out_at=None,
                mode="reschedule" if first else "poke",
            )
        )
    return tasks


def _decrypted(encrypted: str) -> _Asked | None:
    """Return what a trigger's keyword arguments ask for; None where they cannot be read."""
    try:
        kwargs = Trigger._decrypt_kwargs(encrypted)  # noqa: SLF001 - the public way makes an object first
    except Exception as error:  # noqa: BLE001 - another key, or what another version has written
        log.warning("The page leaves out a wait that it cannot read: %s", type(error).__name__)
        return None
    return _asked(kwargs)


def _asked(kwargs: Mapping[str, Any]) -> _Asked:
    """Return what a wait asks for. A parameter that cannot be used yet, such as a template, is left out."""
    usable = {name: value for name, value in kwargs.items() if _is_usable(name, value)}
    parameters = WaitParameters.parse(usable)
    return _Asked(parameters, parameters.slots if usable.keys() >= kwargs.keys() & {"slots"} else None)


def _is_usable(name: str, value: Any) -> bool:
    if templates(value):
        return False
    try:
        WaitParameters.parse({name: value})
    except ValueError:
        return False
    return True
