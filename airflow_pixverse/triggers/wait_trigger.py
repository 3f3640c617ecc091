"""WaitTrigger: the base of all triggers that wait, and end with one event."""

from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Generic, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_pixverse.api.errors import PixverseFatalError, PixverseNoResultError
from airflow_pixverse.capabilities import deferral_timeout_of
from airflow_pixverse.gate.lease_update import LeaseUpdate
from airflow_pixverse.triggerer.occupancy import OCCUPANCY
from airflow_pixverse.triggerer.shared_gates import gate_of
from airflow_pixverse.waits.deadlines import Deadlines
from airflow_pixverse.waits.events import WaitStatus, end_event
from airflow_pixverse.waits.parameters import TriggerParameters

_Parameters = TypeVar("_Parameters", bound=TriggerParameters)

# Seconds that the first poll of a wait may take, even if its timeout is shorter.
FIRST_LOOK_WITHIN = 15.0


class WaitTrigger(BaseTrigger, Generic[_Parameters]):
    """
    A trigger that sends one event, a dict with ``status`` (see :class:`WaitStatus`), and ends.

    Only cancellation escapes :meth:`run`: Airflow's sensors skip a task whose trigger raised. ``__init__``
    does not raise, because that would end the triggerer; so :meth:`run` parses the parameters.

    :param kwargs: the fields of :attr:`parameters`.
    """

    parameters: ClassVar[type[TriggerParameters]]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kwargs = kwargs

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and parameters; none of them is secret."""
        return f"{type(self).__module__}.{type(self).__qualname__}", dict(self._kwargs)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and send the one event that ends the wait."""
        _, kwargs = self.serialize()
        if unknown := self.parameters.unknown(kwargs):
            self.log.warning("Another version of airflow-pixverse wrote %s, which is ignored here", unknown)
        try:
            parameters: Any = self.parameters.parse(kwargs)
        except Exception as error:  # noqa: BLE001 - another version may have written anything
            yield as_event(_with_state(end_event(WaitStatus.FATAL, str(error)), kwargs.get("state")))
            return
        try:
            if told := parameters.lease_update:
                gate_of(parameters.pixverse_conn_id).update_lease(
                    told["reference"], LeaseUpdate(told["update"]), told.get("looked")
                )
            with OCCUPANCY.taking_a_place():
                payload = await self._wait(parameters)
        except PixverseFatalError as error:
            payload = end_event(WaitStatus.FATAL, str(error))
        except PixverseNoResultError as error:
            payload = end_event(WaitStatus.ERROR, str(error))
        except Exception as error:
            self.log.exception("The trigger failed")
            payload = end_event(WaitStatus.ERROR, f"the trigger failed: {error!r}")
        payload = _with_state(payload, parameters.state)
        try:
            event = await self._end(parameters, payload)
        except Exception:
            self.log.exception("The task could not be ended here, so a worker does it")
            event = as_event(payload)
        yield event

    @abstractmethod
    async def _wait(self, parameters: _Parameters) -> dict[str, Any]:
        """
        Wait, and return the payload of the event.

        :raises PixverseFatalError: a permanent error; another call will not help.
        :raises PixverseNoResultError: waiting longer will not help.
        """

    async def _end(self, parameters: _Parameters, payload: dict[str, Any]) -> TriggerEvent:  # noqa: ARG002
        """Return the event that ends the wait."""
        return as_event(payload)

    def _deadlines(self, parameters: _Parameters) -> Deadlines:
        """Return the deadlines. Airflow knows the start of a wait that began in the trigger."""
        return Deadlines.of_wait(
            parameters,
            deferral_ends=deferral_timeout_of(self),
            started=getattr(self.task_instance, "start_date", None),
        )


def _with_state(payload: dict[str, Any], state: Any) -> dict[str, Any]:
    return payload | {"state": state} if isinstance(state, dict) else payload


def as_event(payload: dict[str, Any]) -> TriggerEvent:
    """Return the event with a payload."""
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
