"""PixverseReleaseTrigger: tell the gate the outcome of a job, and nothing else."""

from typing import Any

from airflow_pixverse.triggers.wait_trigger import WaitTrigger
from airflow_pixverse.waits.events import released_event
from airflow_pixverse.waits.parameters import TriggerParameters


class PixverseReleaseTrigger(WaitTrigger[TriggerParameters]):
    """
    A trigger that tells the gate that a leased slot is not needed, so that another task gets it.

    It ends at once, with an event ``{"status": "released", "state": ...}``.

    :param kwargs: see :class:`~airflow_pixverse.waits.parameters.TriggerParameters`.
    """

    parameters = TriggerParameters

    async def _wait(self, parameters: TriggerParameters) -> dict[str, Any]:  # noqa: ARG002
        return released_event()
