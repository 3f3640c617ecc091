"""WaitParameters: what a wait in the triggerer is given, on its way from the sensor to the trigger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airflow_pixverse.parameters import (
    parse_emails,
    parse_flag,
    parse_optional_moment,
    parse_optional_seconds,
    parse_slots,
)
from airflow_pixverse.trigger_parameters import TriggerParameters


@dataclass(frozen=True, kw_only=True)
class WaitParameters(TriggerParameters):
    """
    The parameters of a wait for slots, beside those of every wait.

    :param slots: free slots to wait for.
    :param emails: the accounts to look at; None for all.
    :param exponential_backoff: let the interval grow with the time waited.
    :param max_wait: longest interval in seconds; None for no limit.
    :param first_poll_at: when to queue, in seconds since the epoch; None for at once.
    :param lease: seconds for which a slot given to this wait is kept from others; None for the default.
    :param ticket: lease the slots for one job, whose reference comes with the event, as does when the lease
        began, and for how long it lasts.
    :param end_from_trigger: end the task in the triggerer if slots are free, without a worker.
    :param do_xcom_push: whether a task that ends in the triggerer pushes the accounts to XCom.
    """

    slots: Annotated[int, parse_slots] = 1
    emails: Annotated[list[str] | None, parse_emails] = None
    exponential_backoff: Annotated[bool, parse_flag] = False
    max_wait: Annotated[float | None, parse_optional_seconds] = None
    first_poll_at: Annotated[float | None, parse_optional_moment] = None
    lease: Annotated[float | None, parse_optional_seconds] = None
    ticket: Annotated[bool, parse_flag] = False
    end_from_trigger: Annotated[bool, parse_flag] = False
    do_xcom_push: Annotated[bool, parse_flag] = True
