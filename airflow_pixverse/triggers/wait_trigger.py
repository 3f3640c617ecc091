"""WaitTrigger: what all waits in the triggerer have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Generic, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_pixverse.api.errors import PixverseFatalError
from airflow_pixverse.capabilities import deferral_timeout_of
from airflow_pixverse.deadlines import Deadlines
from airflow_pixverse.slot_news import News
from airflow_pixverse.trigger_parameters import TriggerParameters
from airflow_pixverse.triggers.shared_gates import gate_of
from airflow_pixverse.triggers.wait_event import WaitStatus, end_event

_Parameters = TypeVar("_Parameters", bound=TriggerParameters)

# However short its timeout, a wait is looked at once, unless that takes longer than this many seconds.
FIRST_LOOK_WITHIN = 15.0


class WaitTrigger(BaseTrigger, Generic[_Parameters]):
    """
    A wait that sends one event, a dict with ``status`` (see :class:`WaitStatus`), and ends.

    Nothing but cancellation escapes :meth:`run`, since Airflow takes a trigger that raised for a reason to
    skip; nor does ``__init__`` raise, since that would end the triggerer, so the parameters are only parsed
    in :meth:`run`.
    """

    parameters: ClassVar[type[TriggerParameters]]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send the one event that says how the wait ended."""
        _, kwargs = self.serialize()
        if unknown := self.parameters.unknown(kwargs):
            self.log.warning("Another version of airflow-pixverse wrote %s, which is ignored here", unknown)
        try:
            parameters: Any = self.parameters.parse(kwargs)
        except Exception as error:  # noqa: BLE001 - whatever another version, or somebody else, has written
            yield as_event(_with_state(end_event(WaitStatus.FATAL, str(error)), kwargs.get("state")))
            return
        try:
            if parameters.news:
                tell_gate(parameters.pixverse_conn_id, parameters.news)
            payload = await self._wait(parameters)
        except PixverseFatalError as error:
            payload = end_event(WaitStatus.FATAL, str(error))
        except Exception as error:
            self.log.exception("The trigger failed")
            payload = end_event(WaitStatus.ERROR, f"the trigger failed: {error!r}")
        yield await self._end(parameters, _with_state(payload, parameters.state))

    @abstractmethod
    async def _wait(self, parameters: _Parameters) -> dict[str, Any]:
        """
        Wait, and return the payload of the event.

        :raises PixverseFatalError: asking again will not help.
        """

    async def _end(self, parameters: _Parameters, payload: dict[str, Any]) -> TriggerEvent:  # noqa: ARG002
        """Return the event that a wait ends with."""
        return as_event(payload)

    def _deadlines(self, parameters: _Parameters) -> Deadlines:
        """Return the deadlines; when the wait began, Airflow has to tell where it began in the trigger."""
        return Deadlines.of_wait(
            parameters,
            deferral_ends=deferral_timeout_of(self),
            started=getattr(self.task_instance, "start_date", None),
        )


def tell_gate(pixverse_conn_id: str, news: dict[str, str]) -> None:
    """Tell the gate of a connection what became of the job that it keeps a slot for."""
    gate_of(pixverse_conn_id).tell(news["reference"], News(news["news"]))


def _with_state(payload: dict[str, Any], state: Any) -> dict[str, Any]:
    return payload | {"state": state} if isinstance(state, dict) else payload


def as_event(payload: dict[str, Any]) -> TriggerEvent:
    """Return the event with a payload."""
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
