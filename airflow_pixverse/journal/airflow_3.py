"""
Journals of Airflow 3: in the task state store (3.3 and later), or in Variables (3.0 to 3.2).

Both places are asked for one key at a time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_pixverse.journal.errors import RecordUnreadableError
from airflow_pixverse.journal.journal import Key, SubmitJournal
from airflow_pixverse.journal.records import RANKS, SubmitRecord

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_ABSENT = object()


class _KeyedJournal(SubmitJournal):
    """
    Records that are read key by key: of each try the first, and then on to the first that is absent.

    Each is a call to Airflow, so none is made whose answer is known. This try is the only one that writes its
    keys: once it has read them, it knows which there are, and one that it has just read back is not read
    again.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._context = context

    @abstractmethod
    def _look_up(self, keys: Collection[Key]) -> Mapping[Key, object]:
        """Return the texts under these keys, without those that are absent; raise any error."""

    @abstractmethod
    def _delete(self, key: Key) -> None:
        """Remove the text under a key; raise any error."""

    @property
    def _other_tries(self) -> Iterable[int]:
        """The numbers of the other tries that may have written a record."""
        return (number for number in self._try.all_tries if number != self._try.try_number)

    def _read_all(self) -> Mapping[Key, object]:
        texts, self._read_back = self._read_back, {}
        first_keys = [Key(number, 1) for number in self._other_tries]
        if self._keys is None:
            first_keys.append(Key(self._try.try_number, 1))
        else:
            texts |= self._look_up(self._keys.values() - texts.keys())
        return texts | self._read_from(first_keys)

    def _read_from(
        self, wanted: Collection[Key], is_last: Callable[[object], bool] = lambda _: False
    ) -> dict[Key, object]:
        """Return the texts under these keys and those that follow, up to the last one of each try."""
        texts: dict[Key, object] = {}
        while found := self._look_up(wanted):
            texts |= found
            wanted = [Key(key.try_number, key.number + 1) for key, text in found.items() if not is_last(text)]
        return texts

    def _read(self, key: Key) -> object:
        return self._look_up([key]).get(key)

    def _drop(self) -> None:
        own = self._try.try_number
        for key in self._read_from([Key(number, 1) for number in (*self._other_tries, own)], _is_accepted):
            self._delete(key)

    def _state(self) -> str | None:
        """Return the state of the newest try of the task instance, as the API server says."""
        mine = self._try
        states = self._context["ti"].get_task_states(
            dag_id=mine.dag_id, map_index=mine.map_index, task_ids=[mine.task_id], run_ids=[mine.run_id]
        )
        mapped = "" if mine.map_index < 0 else f"_{mine.map_index}"
        state = states.get(mine.run_id, {}).get(f"{mine.task_id}{mapped}")
        return None if state is None else str(getattr(state, "value", state))


class TaskStateJournal(_KeyedJournal):
    """
    Records in the state store of the task instance.

    It keeps its values through retries and clears; Airflow 3.4 deletes them at a clear, unless the user asks
    it to keep them. A retry and a clear give the task instance another id. What a try with an earlier id
    writes, the API server refuses (HTTP status 404); to what it reads, it answers "not there".

    :param context: the context of the task instance.
    """

    place = "Airflow's task state store"
    refusal = "Airflow refuses what a try writes that it has given up. "
    begins_empty = True

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        store: Any = context["task_state_store"]
        self._store = store

    @property
    def _other_tries(self) -> Iterable[int]:
        # A try with an earlier id cannot write. So a record that is read back proves that no try has begun
        # after this one.
        return range(1, self._try.try_number)

    def _look_up(self, keys: Collection[Key]) -> Mapping[Key, object]:
        # None is no absence: a state store backend ([workers] state_store_backend) has lost the value.
        texts = {key: self._store.get(_key(key), _ABSENT) for key in keys}
        return {key: text for key, text in texts.items() if text is not _ABSENT}

    def _write(self, key: Key, text: str) -> None:
        from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # missing in its stub

        self._store.set(_key(key), text, retention=NEVER_EXPIRE)

    def _delete(self, key: Key) -> None:
        self._store.delete(_key(key))

    def _name(self, key: Key) -> str:
        return f"key {_key(key)!r}"


def _is_accepted(text: object) -> bool:
    """Return whether a record is of a job that is accepted: its try submits nothing after it."""
    try:
        return RANKS[SubmitRecord.from_json(text).state] >= RANKS["accepted"]
    except RecordUnreadableError:
        return False


def _key(key: Key) -> str:
    return f"pixverse_submit_{key}"


class VariableJournal(_KeyedJournal):
    """
    Records in Airflow Variables, one for each submit.

    The supervisor is asked for them, and not ``airflow.sdk.Variable``: that looks into a cache and into
    secrets backends first, says "not found" when an API server does not answer (3.1 and 3.2), and only logs
    that a value could not be set.

    :param context: the context of the task instance.
    """

    place = "Airflow's Variables"

    def _look_up(self, keys: Collection[Key]) -> Mapping[Key, object]:
        texts = self._ask_for(keys)
        if absent := [key for key in keys if key not in texts]:
            # The API server says "not found" also while its database does not answer. A task's state comes
            # from there too, and then is an error; if it is none, a second "not found" is believed.
            self._state()
            texts |= self._ask_for(absent)
        return texts

    def _ask_for(self, keys: Collection[Key]) -> dict[Key, object]:
        from airflow.sdk.execution_time.comms import GetVariable, VariableResult

        answers = {key: _ask(GetVariable(key=self._key(key))) for key in keys}
        return {key: answer.value for key, answer in answers.items() if isinstance(answer, VariableResult)}

    def _write(self, key: Key, text: str) -> None:
        from airflow.sdk.execution_time.comms import PutVariable

        description = (
            f"What try {key.try_number} of {self._try} has submitted to PixVerse. It keeps a retry from "
            "submitting, and paying, again. It is removed when the task succeeds; else delete it once the "
            "task is not to run again."
        )
        _ask(PutVariable(key=self._key(key), value=text, description=description))

    def _delete(self, key: Key) -> None:
        from airflow.sdk.execution_time.comms import DeleteVariable

        _ask(DeleteVariable(key=self._key(key)))

    def _name(self, key: Key) -> str:
        return f"Variable {self._key(key)!r}"

    def _key(self, key: Key) -> str:
        # By a digest, since a key may have 250 characters. No word in it may be one that Airflow masks.
        return f"airflow_pixverse_submit_{self._try.digest}_{key}"


def _ask(message: Any) -> Any:
    """Send a message to the supervisor; raise its error, unless that says that there is no such Variable."""
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse

    answer = task_runner.SUPERVISOR_COMMS.send(message)
    if isinstance(answer, ErrorResponse) and answer.error != ErrorType.VARIABLE_NOT_FOUND:
        raise AirflowRuntimeError(answer)
    return answer
