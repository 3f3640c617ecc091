"""TaskStateMarks: marks in Airflow's task state store (Airflow 3.3 and later)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_pixverse.marks.stored_marks import StoredMarks
from airflow_pixverse.marks.task_states import state_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class TaskStateMarks(StoredMarks):
    """
    Marks in the state store of the task instance, under a key for each try.

    It keeps its values through retries and clears. The API server refuses (HTTP status 404) what a try writes
    that was given up, as each try has an id of its own; to what such a try reads it answers "not there".

    :param context: the context of the task instance.
    """

    place = "Airflow's task state store"
    refusal = "Airflow refuses what a try writes that it has given up. "

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._context = context
        store: Any = context["task_state_store"]
        self._store = store

    def _read(self, tries: Iterable[int]) -> Mapping[int, object]:
        texts = {number: self._store.get(_key(number)) for number in tries}
        return {number: text for number, text in texts.items() if text is not None}

    def _write(self, try_number: int, text: str) -> None:
        from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # missing in its stub

        self._store.set(_key(try_number), text, retention=NEVER_EXPIRE)

    def _drop(self, tries: Iterable[int]) -> None:
        for number in tries:
            self._store.delete(_key(number))

    def _name(self, try_number: int) -> str:
        return f"key {_key(try_number)!r}"

    def _is_running(self) -> bool:
        return state_of(self._context, self._try) == "running"


def _key(try_number: int) -> str:
    return f"pixverse_submit_try_{try_number}"
