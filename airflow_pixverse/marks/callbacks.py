"""Drop marks after success, with a success callback of the operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_pixverse.capabilities import WORKERS_HAVE_DATABASE
from airflow_pixverse.marks.store import mark_store_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context


def drop_marks(context: Context) -> None:
    """Drop the marks of the task instance that has succeeded: a success callback."""
    mark_store_of(context).drop()


def add_drop_callback(operator: BaseOperator) -> None:
    """
    Let an operator drop its marks after success, beside the success callbacks that it has. For ``__init__``.

    On Airflow 3 success callbacks run after the API server was told of the success, so a worker that dies
    before keeps its marks. The marks are dropped before the callbacks of others run, since Airflow kills a
    worker whose callbacks take long. On Airflow 2.11 nothing is added, as marks are never dropped there.

    :param operator: whose marks are to be dropped; for a mapped task, each of its instances.
    """
    if WORKERS_HAVE_DATABASE:
        return
    given: Any = operator.on_success_callback
    others = [] if given is None else list(given) if isinstance(given, Sequence) else [given]
    # A new list, as mapped instances get the one that was given to "partial()".
    operator.on_success_callback = [
        drop_marks,
        *(callback for callback in others if callback is not drop_marks),
    ]
