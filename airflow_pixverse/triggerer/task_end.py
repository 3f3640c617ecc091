"""The end of a task in the triggerer, without a worker."""

import logging
from collections.abc import Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_pixverse.capabilities import (
    PUSHES_FROM_TRIGGERER,
    TASK_SUCCESS_EVENT_STORES_XCOM,
    has_custom_xcom_backend,
    push_from_triggerer,
)

log = logging.getLogger(__name__)


async def task_success(
    trigger: BaseTrigger, payload: dict[str, Any], xcoms: Mapping[str, Any]
) -> TriggerEvent:
    """
    Return the event that ends the task here, or one that resumes it on a worker if XCom needs that.

    :param payload: the payload of the trigger's event for success.
    :param xcoms: what to push, by key.
    """
    carried: dict[str, Any] | None = None
    if xcoms:
        # Uploading to a custom XCom backend would block the event loop of all triggers.
        if has_custom_xcom_backend():
            return TriggerEvent(payload)  # type: ignore[no-untyped-call]
        if TASK_SUCCESS_EVENT_STORES_XCOM:
            carried = dict(xcoms)
        elif not await _push(trigger, xcoms):
            return TriggerEvent(payload)  # type: ignore[no-untyped-call]
    end = TaskSuccessEvent(xcoms=carried)
    end.payload = payload  # dag.test() resumes the task with it
    return end


async def _push(trigger: BaseTrigger, xcoms: Mapping[str, Any]) -> bool:
    """Push XComs as a worker does, and return whether that could be done."""
    if (ti := trigger.task_instance) is None:
        return True  # dag.test(), which has a worker push them
    if not PUSHES_FROM_TRIGGERER:
        return False
    try:
        for key, value in xcoms.items():
            await push_from_triggerer(ti, key, value)
    except Exception:
        log.warning("XCom could not be pushed in the triggerer, so a worker does it", exc_info=True)
        return False
    return True
