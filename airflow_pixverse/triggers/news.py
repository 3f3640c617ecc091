"""PixverseNewsTrigger: tell the gate what became of a job, and nothing else."""

from __future__ import annotations

from typing import Any

from airflow_pixverse.trigger_parameters import TriggerParameters
from airflow_pixverse.triggers.wait_event import told_event
from airflow_pixverse.triggers.wait_trigger import WaitTrigger


class PixverseNewsTrigger(WaitTrigger[TriggerParameters]):
    """
    Tell the gate of a connection that a slot which it keeps is not needed, so that another task gets it.

    It ends at once, with an event ``{"status": "told", "state": ...}``.

    :param kwargs: see :class:`~airflow_pixverse.trigger_parameters.TriggerParameters`.
    """

    parameters = TriggerParameters

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kwargs = kwargs

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and parameters; none of them is secret."""
        return "airflow_pixverse.triggers.news.PixverseNewsTrigger", dict(self._kwargs)

    async def _wait(self, parameters: TriggerParameters) -> dict[str, Any]:  # noqa: ARG002
        return told_event()
