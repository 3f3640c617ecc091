"""The end of a task in the triggerer: what keeps a worker necessary."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_pixverse.capabilities import CALLS_SUCCESS_CALLBACKS_WITHOUT_WORKER


def reasons_to_end_on_worker(
    task: Any, ignored_callbacks: Collection[Any] = (), *, begins_on_worker: bool = True
) -> dict[str, bool]:
    """
    Return what a success of any task may need a worker for, and whether this task does.

    :param ignored_callbacks: success callbacks that the end in the triggerer may leave out.
    :param begins_on_worker: whether a worker has called what comes before ``execute`` by then.
    """
    callbacks = task.on_success_callback
    listening = callbacks if isinstance(callbacks, Sequence) else [callbacks] if callbacks else []
    is_heard = any(one not in ignored_callbacks for one in listening)
    has_begin = _has_hook(task, "pre_execute") or bool(task.on_execute_callback)
    return {
        "it has outlets, whose events only a worker sends": bool(task.outlets),
        "it has callbacks, which only a worker calls": is_heard
        and not CALLS_SUCCESS_CALLBACKS_WITHOUT_WORKER,
        "it has post_execute, which only a worker calls": _has_hook(task, "post_execute"),
        "it has pre_execute or on_execute_callback, which only a worker calls": has_begin
        and not begins_on_worker,
    }


def _has_hook(task: Any, name: str) -> bool:
    """Return whether a task has a hook, as an argument or as a method of its own, as Airflow looks for it."""
    is_own = getattr(getattr(task, name), "__func__", None) is not getattr(BaseOperator, name)
    return is_own or getattr(task, f"_{name}_hook") is not None


def first_reason(reasons: Mapping[str, Any]) -> str | None:
    """Return the first reason that holds; None if none does."""
    return next((reason for reason, holds in reasons.items() if holds), None)
