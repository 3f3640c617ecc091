"""The tasks that wait for slots, as columns of Airflow's database: objects cost seven times as much."""

import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskreschedule import TaskReschedule
from airflow.models.trigger import Trigger
from airflow.utils.state import TaskInstanceState
from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from airflow_pixverse.gate.turns import Turn, Turns
from airflow_pixverse.page.response import Wait, WaitMode
from airflow_pixverse.page.tasks import RENDERED_OF_TASK, TASK, task_key
from airflow_pixverse.parameters import templates
from airflow_pixverse.waits.deadlines import Deadlines
from airflow_pixverse.waits.parameters import WaitParameters

_CLASSPATH = "airflow_pixverse.triggers.pixverse.PixverseCapacityTrigger"
_SENSOR = "PixverseCapacitySensor"
# A deferrable sensor runs on a worker for a moment before it defers, which is no wait.
_RUNS_BEFORE_DEFERRING = timedelta(seconds=10)
_MAX_DECRYPTED = 20_000

log = logging.getLogger(__name__)


class _Request(NamedTuple):
    """The parameters of a wait; ``slots`` is None if it is a template."""

    parameters: WaitParameters
    slots: int | None


def read_waits(session: Session) -> dict[str, list[Wait]]:
    """Return the waits of each connection: the queue in its order, then tasks that poll for themselves."""
    waits: dict[str, list[Wait]] = defaultdict(list)
    for connection, wait in _deferred_tasks(session):
        waits[connection].append(wait)
    for connection, queue in waits.items():
        ordered = Turns().in_order(enumerate(queue), _turn)
        waits[connection] = [wait for _, wait in ordered]
        for place, wait in enumerate(waits[connection], 1):
            wait["place"] = place
    for connection, wait in sorted(_polling_tasks(session), key=lambda found: _since(found[1])):
        waits[connection].append(wait)
    return dict(waits)


def _since(wait: Wait) -> float:
    since = wait["since"]
    return math.inf if since is None else since


def _turn(numbered: tuple[int, Wait]) -> Turn:
    """Return what the gate orders a wait by; the page does not know the shares that DAGs have had."""
    number, wait = numbered
    return Turn(_since(wait), number, wait["priority"], wait["dag_id"], wait["slots"] or 1)


def _deferred_tasks(session: Session) -> Iterator[tuple[str, Wait]]:
    """Yield connection and wait of the tasks in the queues of the triggerers, the oldest trigger first."""
    rows = session.execute(
        select(*TASK, Trigger.encrypted_kwargs, TaskInstance.trigger_timeout, TaskInstance.start_date)
        .join(TaskInstance, TaskInstance.trigger_id == Trigger.id)
        .where(Trigger.classpath == _CLASSPATH, TaskInstance.state == TaskInstanceState.DEFERRED)
        .order_by(Trigger.id)
    )
    for *task, encrypted, deferral_ends, started in rows:
        request = _decrypted(encrypted)
        if request is None:
            continue
        deadlines = Deadlines.of_wait(request.parameters, deferral_ends=deferral_ends, started=started)
        end, _ = deadlines.first
        yield _wait(task, request, "deferred", deadlines.since, None if end == math.inf else end)


def _polling_tasks(session: Session) -> Iterator[tuple[str, Wait]]:
    """Yield connection and wait of the sensors that poll for themselves, in poke and reschedule mode."""
    first_poll = (
        select(func.min(TaskReschedule.start_date))
        .where(TaskReschedule.ti_id == TaskInstance.id)
        .scalar_subquery()
    )
    runs_for_long = TaskInstance.start_date < datetime.now(UTC) - _RUNS_BEFORE_DEFERRING
    between_polls = (TaskInstanceState.RUNNING, TaskInstanceState.QUEUED, TaskInstanceState.SCHEDULED)
    rows = session.execute(
        select(*TASK, TaskInstance.start_date, first_poll, RenderedTaskInstanceFields.rendered_fields)
        # Airflow keeps them of the last runs only.
        .outerjoin(RenderedTaskInstanceFields, RENDERED_OF_TASK)
        .where(
            TaskInstance.operator == _SENSOR,
            TaskInstance.next_method.is_(None),
            or_(
                TaskInstance.state == TaskInstanceState.UP_FOR_RESCHEDULE,
                and_(TaskInstance.state == TaskInstanceState.RUNNING, runs_for_long),
                and_(TaskInstance.state.in_(between_polls), first_poll.is_not(None)),
            ),
        )
    )
    for *task, started, first, rendered in rows:
        began = first or started
        mode: WaitMode = "reschedule" if first else "poke"
        yield _wait(task, _request(rendered or {}), mode, began.timestamp() if began else None)


def _wait(
    task: Sequence[Any], request: _Request, mode: WaitMode, since: float | None, ends: float | None = None
) -> tuple[str, Wait]:
    wait: Wait = {
        **task_key(task),
        "place": None,
        "priority": request.parameters.priority_weight,
        "slots": request.slots,
        "emails": request.parameters.emails,
        "since": since,
        "times_out_at": ends,
        "mode": mode,
    }
    return request.parameters.pixverse_conn_id, wait


# By ciphertext, and not by the id of the trigger: SQLite gives the id of one that has ended to another.
@lru_cache(maxsize=_MAX_DECRYPTED)
def _decrypted(encrypted: str) -> _Request | None:
    """Return the parameters of a trigger; None if they cannot be read."""
    try:
        kwargs = Trigger._decrypt_kwargs(encrypted)  # noqa: SLF001 - the public way makes an object first
    except Exception as error:  # noqa: BLE001 - another key, or written by another version
        log.warning("The page leaves out a wait that it cannot read: %s", type(error).__name__)
        return None
    return _request(kwargs)


def _request(kwargs: Mapping[str, Any]) -> _Request:
    """Return the parameters of a wait, without those that cannot be used yet, such as a template."""
    usable = {name: value for name, value in kwargs.items() if _is_usable(name, value)}
    parameters = WaitParameters.parse(usable)
    is_known = "slots" in usable or "slots" not in kwargs
    return _Request(parameters, parameters.slots if is_known else None)


def _is_usable(name: str, value: Any) -> bool:
    if templates(value):
        return False
    try:
        WaitParameters.parse({name: value})
    except ValueError:
        return False
    return True
