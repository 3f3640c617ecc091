"""VariableMarks: marks in Airflow Variables (Airflow 3.0 to 3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_pixverse.marks.stored_marks import StoredMarks
from airflow_pixverse.marks.task_states import state_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class VariableMarks(StoredMarks):
    """
    Marks in Airflow Variables, one for each try.

    The supervisor is asked for them, and not ``airflow.sdk.Variable``: that looks into a cache and into
    secrets backends first, says "not found" when an API server does not answer (3.1 and 3.2), and only logs
    that a value could not be set.

    :param context: the context of the task instance.
    """

    place = "Airflow's Variables"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._context = context

    def _read(self, tries: Iterable[int]) -> Mapping[int, object]:
        texts = self._look_up(tries)
        if absent := [number for number in tries if number not in texts]:
            # The API server says "not found" also while its database does not answer. A task's state comes
            # from there too, and then is an error; if it is none, a second "not found" is believed.
            state_of(self._context, self._try)
            texts |= self._look_up(absent)
        return texts

    def _look_up(self, tries: Iterable[int]) -> dict[int, object]:
        from airflow.sdk.execution_time.comms import GetVariable, VariableResult

        texts: dict[int, object] = {}
        for number in tries:
            answer = _ask(GetVariable(key=self._key(number)))
            if isinstance(answer, VariableResult):
                texts[number] = answer.value
        return texts

    def _write(self, try_number: int, text: str) -> None:
        from airflow.sdk.execution_time.comms import PutVariable

        description = (
            f"What try {try_number} of {self._try} has submitted to PixVerse. It keeps a retry from "
            "submitting, and paying, again. It is removed when the task succeeds; else delete it when nobody "
            "will run the task again."
        )
        _ask(PutVariable(key=self._key(try_number), value=text, description=description))

    def _drop(self, tries: Iterable[int]) -> None:
        from airflow.sdk.execution_time.comms import DeleteVariable

        for number in tries:
            _ask(DeleteVariable(key=self._key(number)))

    def _name(self, try_number: int) -> str:
        return f"Variable {self._key(try_number)!r}"

    def _is_running(self) -> bool:
        return state_of(self._context, self._try) == "running"

    def _key(self, try_number: int) -> str:
        # By a digest, since a key may have 250 characters. No word in it may be one that Airflow masks.
        return f"airflow_pixverse_submit_{self._try.digest}_{try_number}"


def _ask(message: Any) -> Any:
    """Send a message to the supervisor; raise its error, unless that says that there is no such Variable."""
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse

    answer = task_runner.SUPERVISOR_COMMS.send(message)
    if isinstance(answer, ErrorResponse) and answer.error != ErrorType.VARIABLE_NOT_FOUND:
        raise AirflowRuntimeError(answer)
    return answer
