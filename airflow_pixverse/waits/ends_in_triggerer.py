"""The end of a task in the triggerer: what keeps a worker necessary."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_pixverse.capabilities import CALLS_SUCCESS_CALLBACKS_WITHOUT_WORKER


def reasons_to_end_on_worker(task: Any, ignored_callbacks: Collection[Any] = ()) -> dict[str, bool]:
    """
    Return what a success of any task may need a worker for, and whether this task does.

    :param ignored_callbacks: success callbacks that the end in the triggerer may leave out.
    """
    callbacks = task.on_success_callback
    listening = callbacks if isinstance(callbacks, Sequence) else [callbacks] if callbacks else []
    is_heard = any(one not in ignored_callbacks for one in listening)
    # As Airflow looks for an overridden method.
    overrides = getattr(task.post_execute, "__func__", None) is not BaseOperator.post_execute
    return {
        "it has outlets, whose events only a worker sends": bool(task.outlets),
        "it has callbacks, which only a worker calls": is_heard
        and not CALLS_SUCCESS_CALLBACKS_WITHOUT_WORKER,
        "it has post_execute, which only a worker calls": overrides or task._post_execute_hook is not None,  # noqa: SLF001
    }


def first_reason(reasons: Mapping[str, Any]) -> str | None:
    """Return the first reason that holds; None if none does."""
    return next((reason for reason, holds in reasons.items() if holds), None)
