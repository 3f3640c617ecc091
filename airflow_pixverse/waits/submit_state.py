"""SubmitState: what a submit task carries through its trigger and back; and the backoff of submits."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from airflow_pixverse.backoff import backoff

_FIRST_BACKOFF = 5.0
_LONGEST_BACKOFF = 300.0

_TUPLES = ("job_ids", "unrecorded", "barred")


@dataclass(frozen=True, kw_only=True)
class SubmitState:
    """
    The knowledge of a task between two of its parts. In a trigger and its event, it is plain JSON.

    :param waiting_since: when it began to wait for a slot, in seconds since the epoch: its place in the
        queue.
    :param try_number: the try that it belongs to; 0 if unknown.
    :param not_accepted: how often in a row its submit was not accepted so far.
    :param refusals: how often of that the service refused it (429).
    :param is_resubmitted: whether it is submitted again although an earlier submit may be paid for. That is
        done once: what gets lost after it is unknown.
    :param unrecorded: references of submits that are not accepted although their records do not say so: they
        could not be written.
    :param barred: accounts that have refused it for a reason of their own.
    :param payload: the payload that a decorated function has returned, which is not called again. None if
        there is none.
    :param job_ids: the jobs that it waits for; none while it waits for a slot.
    :param cost_credits: what these jobs cost. None if unknown.
    :param credits_before: what their account had before. None if unknown.
    :param failure: what the task is to fail with, once the gate knows; empty if it is not to fail.
    :param may_retry: whether it is to fail such that a retry follows.
    :param value: what the task is to return, once the gate knows; None if it goes on.
    """

    waiting_since: float
    try_number: int = 0
    not_accepted: int = 0
    refusals: int = 0
    is_resubmitted: bool = False
    unrecorded: tuple[str, ...] = ()
    barred: tuple[str, ...] = ()
    payload: dict[str, Any] | None = None
    job_ids: tuple[str, ...] = ()
    cost_credits: int | None = None
    credits_before: int | None = None
    failure: str = ""
    may_retry: bool = False
    value: dict[str, Any] | None = None

    @classmethod
    def new(cls, try_number: int = 0) -> Self:
        """Return the state of a try that begins now."""
        return cls(waiting_since=time.time(), try_number=try_number)

    @classmethod
    def of_event(cls, event: Mapping[str, Any] | None) -> Self:
        """Return the state that an event brings back; a new one, if the wait began in the trigger."""
        event = event or {}
        state = event.get("state")
        if not isinstance(state, dict):
            return dataclasses.replace(cls.new(), waiting_since=event.get("waiting_since") or time.time())
        names = {field.name for field in dataclasses.fields(cls)}
        known = {name: value for name, value in state.items() if name in names}
        payload = known.get("payload")
        known["payload"] = None if payload is None else json.loads(payload)
        return cls(**known | {name: tuple(known.get(name, ())) for name in _TUPLES})

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, the payload as a text: Airflow takes no number of more than 64 bits."""
        payload = None if self.payload is None else json.dumps(self.payload)
        lists = {name: list(getattr(self, name)) for name in _TUPLES}
        return dataclasses.asdict(self) | lists | {"payload": payload}

    def after_refusal(self) -> Self:
        """Return the state after the service has refused it (429)."""
        return dataclasses.replace(self, not_accepted=self.not_accepted + 1, refusals=self.refusals + 1)

    def after_wait_in_vain(self) -> Self:
        """Return the state after others have taken the slot, so that there is no reason for a pause."""
        return dataclasses.replace(self, not_accepted=0)

    def after_setback(self) -> Self:
        """Return the state after its submit did not get through."""
        return dataclasses.replace(self, not_accepted=self.not_accepted + 1)

    def after_loss(self) -> Self:
        """Return the state after its submit got lost, and is sent once more."""
        return dataclasses.replace(self.after_setback(), is_resubmitted=True)

    def pause(self, retry_after: float | None) -> float:
        """Return for how many seconds to pause before it is submitted again: 5, 10, ... 300, or as asked."""
        return max(submit_backoff(self.not_accepted), retry_after or 0.0)


def submit_backoff(times: int) -> float:
    """Return the seconds to pause after a submit has failed so many times in a row: 5, 10, ... 300."""
    return backoff(times, first=_FIRST_BACKOFF, longest=_LONGEST_BACKOFF)
