"""The last look at the slots, right before the POST of a task that a gate has let through."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import PixverseError, PixverseFatalError
from airflow_pixverse.api.reply_ref import random_part_of

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.scheduler import Capacity
    from airflow_pixverse.submission.wait_protocol import Admission

# A task that was let through before its slot is free looks for it this often, for so long; in seconds.
_LOOK_EVERY = 2.0
_LOOK_FOR = 60.0
# A slot of another account that is free for less than this many seconds may be kept for a task whose worker
# is about to be there.
_FREE_FOR = 10.0


def reason_not_to_submit(
    client: PixverseClient, admission: Admission, email: str | None, log: Any, *, is_bound: bool
) -> str:
    """
    Return why the slot that a gate has given to this task cannot be used; empty if it can.

    No clock tells how long this worker took to start: those of triggerer and worker differ. So the service is
    asked, and not the lease. Submitting to a slot that is taken costs no more than a refusal.

    :param email: the account that the job goes to. None if the service is to choose one.
    :param is_bound: whether no other account may have the job.
    """
    from airflow_pixverse.api.scheduler import accounts_with_room

    if not admission.random_part:
        return ""
    if admission.ahead is not None:
        return _reason_after_a_minute(client, admission, log, is_bound=is_bound)
    try:
        capacity = client.get_capacity()
    except PixverseError as error:
        log.warning("Submitting without a look at the slots: %s", error)
        return ""
    if accounts_with_room(capacity, 1, email):
        return ""
    return "Slot was taken meanwhile, which happens where workers take longer than lease to start"


def _reason_after_a_minute(client: PixverseClient, admission: Admission, log: Any, *, is_bound: bool) -> str:
    """Look until a slot of the account is free that no other task is to get first, or another account's."""
    ahead = set(admission.ahead or ())
    email = admission.accounts[0]["email"]
    until = time.monotonic() + _LOOK_FOR
    elsewhere_since = math.inf
    while True:
        pause, free = _LOOK_EVERY, 0
        try:
            capacity = client.get_capacity()
        except PixverseError as error:
            reason = f"The slots could not be seen: {error}"
            if isinstance(error, PixverseFatalError):
                return reason
            log.warning("Still waiting for the slot: %s", error)
            pause = max(pause, getattr(error, "retry_after", None) or 0.0)
        else:
            reason = "The job that was about to end goes on"
            ahead -= _references(capacity)
            free = capacity.free_slots(email)
            if free > len(ahead):
                return ""
            is_elsewhere = not is_bound and capacity.free_slots() > free
            elsewhere_since = min(elsewhere_since, time.monotonic()) if is_elsewhere else math.inf
            if time.monotonic() - elsewhere_since >= _FREE_FOR:
                return "Another account has a slot"
        if time.monotonic() + pause > until:
            # By now, a job ahead that was never listed has come and gone, or will not come.
            return "" if free else reason
        time.sleep(pause)


def _references(capacity: Capacity) -> set[str]:
    return {random_part_of(job.reply_ref) for job in capacity.executing}
