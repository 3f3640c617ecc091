"""BeginsInTriggerer: the mix-in of tasks, mapped ones too, whose first wait can begin in the triggerer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_pixverse.capabilities import CAN_START_MAPPED_FROM_TRIGGER, is_made_by_mapping

if TYPE_CHECKING:
    from airflow.triggers.base import StartTriggerArgs


class BeginsInTriggerer:
    """
    A mix-in for operators with ``start_from_trigger``.

    The operator calls :meth:`_begin_in_triggerer` at the end of its ``__init__``, if that is asked for.
    """

    unused_by_first_wait: ClassVar[Mapping[str, Any]] = {}
    """Arguments that may be mapped, since the first wait does not use them: a value that stands for any."""

    _reason_to_begin_on_worker: str | None = None

    if TYPE_CHECKING:
        log: Any
        dag: Any
        task_id: str
        start_from_trigger: bool
        start_trigger_args: StartTriggerArgs | None

        def has_dag(self) -> bool:
            """Return whether the DAG is known."""

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return the task without its mapped arguments, as Airflow does; its first wait begins alike."""
        partial = super().partial(**kwargs)  # type: ignore[misc]
        if not (CAN_START_MAPPED_FROM_TRIGGER and kwargs.get("start_from_trigger")):
            return partial
        partial._expand_called = True  # noqa: SLF001 - or Airflow warns that it was never mapped
        return _partial_class()(operator_class=cls, kwargs=partial.kwargs, params=partial.params)

    @classmethod
    def reason_of_mapping(cls, mapped: Mapping[str, Any], common: Mapping[str, Any]) -> str | None:  # noqa: ARG003
        """
        Return the reason why the mapping of a task makes it begin on a worker; None if it does not.

        :param mapped: the mapped arguments, each with a list of its values or with a reference.
        :param common: the arguments of all instances.
        """
        used = sorted(mapped.keys() - cls.unused_by_first_wait.keys())
        return f"the wait may use {', '.join(used)}, which mapping gives" if used else None

    def _first_wait(self, dag: Any) -> StartTriggerArgs | str:
        """
        Return how the first wait begins in the triggerer, or why it begins on a worker.

        :param dag: the DAG of the task. None if unknown.
        """
        raise NotImplementedError

    def _begin_in_triggerer(self) -> None:
        """Let the first wait begin in the triggerer, if that is possible; otherwise keep the reason."""
        begin = self._first_wait(self.dag if self.has_dag() else None)
        if isinstance(begin, str):
            self._reason_to_begin_on_worker = begin
        else:
            # Here and not on the class, where a mapped task would take the values for its own.
            self.start_from_trigger, self.start_trigger_args = True, begin

    def _why_it_begins_on_worker(self) -> str | None:
        """Return the reason, for the log of a worker. None if there is none."""
        if not (is_made_by_mapping(self) and self.start_from_trigger):
            return self._reason_to_begin_on_worker
        if not CAN_START_MAPPED_FROM_TRIGGER:
            return "Airflow before 3.3 begins mapped tasks there"
        mapped = self.dag.task_dict[self.task_id]
        if not mapped.partial_kwargs.get("start_from_trigger"):
            return "partial() was not given start_from_trigger"
        return _reason_of_mapping(mapped)


def _partial_class() -> type:
    from airflow.sdk.definitions.mappedoperator import OperatorPartial

    class Partial(OperatorPartial):
        """Airflow's own, for an operator class whose first wait can begin in the triggerer."""

        def _expand(self, *args: Any, **kwargs: Any) -> Any:
            mapped = super()._expand(*args, **kwargs)
            _begin_in_triggerer(mapped)
            return mapped

    return Partial


def _begin_in_triggerer(mapped: Any) -> None:
    """
    Let the first waits of a mapped task begin in the triggerer, if that is possible.

    All instances then begin alike, so the instance that is asked how has no mapped values.
    """
    begin = None
    if _reason_of_mapping(mapped) is None:
        names = _mapped_arguments(mapped) or {}
        stand_ins = {name: mapped.operator_class.unused_by_first_wait[name] for name in names}
        begin = mapped.unmap(stand_ins).start_trigger_args
    # Without arguments, the triggerer would read the whole DAG for each trigger of the task, and for nothing.
    mapped.start_from_trigger, mapped.start_trigger_args = begin is not None, begin


def _reason_of_mapping(mapped: Any) -> str | None:
    arguments = _mapped_arguments(mapped)
    if arguments is None:
        return "it is not known yet which arguments are mapped"
    kind: type[BeginsInTriggerer] = mapped.operator_class
    return kind.reason_of_mapping(arguments, mapped.partial_kwargs)


def _mapped_arguments(mapped: Any) -> dict[str, Any] | None:
    """Return the mapped arguments, each with its values or a reference. None if they are not known yet."""
    value = mapped.expand_input.value
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, (list, tuple)) or not all(isinstance(row, Mapping) for row in value):
        return None  # another task returns the arguments, or those of some instances
    names = {name for row in value for name in row}
    return {name: [row[name] for row in value if name in row] for name in names}
