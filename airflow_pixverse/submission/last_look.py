"""The last look at the slots, right before the POST of a task that a gate has let through."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import PixverseError, PixverseFatalError
from airflow_pixverse.api.reply_ref import random_part_of
from airflow_pixverse.gate.awaited_job import LONGEST_LOOK

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.scheduler import Capacity
    from airflow_pixverse.submission.wait_protocol import Admission

# A task that was let through before its slot is free looks for it this often, in seconds. Where it knows when
# the job ahead is expected to end, it looks then, and once more a little later.
_LOOK_EVERY = 2.0
_SOON = 1.0
# A slot that is free for less than this many seconds may be kept for a task whose worker is about to come.
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
        return _reason_after_looks(client, admission, log, is_bound=is_bound)
    try:
        capacity = client.get_capacity()
    except PixverseError as error:
        log.warning("Submitting without a look at the slots: %s", error)
        return ""
    if accounts_with_room(capacity, 1, email):
        return ""
    return "Slot was taken meanwhile, by another user or since this worker took longer than lease to start"


def _reason_after_looks(client: PixverseClient, admission: Admission, log: Any, *, is_bound: bool) -> str:
    """Look until a slot of the account is free that no other task is to get first, or another account's."""
    watch = SlotWatch(admission, time.monotonic(), is_bound=is_bound)
    while True:
        try:
            capacity = client.get_capacity()
        except PixverseError as error:
            reason = f"The slots could not be seen: {error}"
            pause = max(_LOOK_EVERY, getattr(error, "retry_after", None) or 0.0)
            if isinstance(error, PixverseFatalError) or time.monotonic() + pause > watch.ends_at:
                return reason
            log.warning("Still waiting for the slot: %s", error)
        else:
            now = time.monotonic()
            if (outcome := watch.record(capacity, now)) is not None:
                return outcome
            pause = watch.pause(now)
        time.sleep(pause)


class SlotWatch:
    """
    The looks of a task that was let through before its slot is free.

    It tells what a look means, and when the next is due.

    :param admission: of the task.
    :param now: by the clock of the worker.
    :param is_bound: whether no other account may have the job.
    """

    def __init__(self, admission: Admission, now: float, *, is_bound: bool) -> None:
        self.ends_at = now + LONGEST_LOOK
        """When to give up."""
        self._email = admission.accounts[0]["email"]
        self._ahead = set(admission.ahead or ())
        self._awaited = admission.awaited
        self._is_bound = is_bound
        # When the job is expected to end, and a little later: the service tells whole seconds.
        self._planned: tuple[float, ...] | None = None
        self._free_since = math.inf
        self._free_elsewhere: dict[str | None, float] = {}  # by account, since when

    def record(self, capacity: Capacity, now: float) -> str | None:
        """Return why the task cannot submit; empty if it can, None if it is to look again."""
        ahead = self._ahead - {random_part_of(job.reply_ref) for job in capacity.executing}
        if ahead != self._ahead:  # one of them has taken a slot, so what is free now is another one
            self._ahead, self._free_since = ahead, math.inf
        self._plan(capacity, now)
        refused = self._awaited.refused if self._awaited else 0
        free = max(0, capacity.free_slots(self._email) - refused)
        self._free_since = min(self._free_since, now) if free else math.inf
        self._record_elsewhere(capacity, now)
        if free > len(self._ahead) or (free and now >= self._unused_at(free)):
            return ""
        if now - self._elsewhere_since >= _FREE_FOR:
            return "Another account has a slot"
        if now < self.ends_at:
            return None
        # By now, a job ahead that was never listed has come and gone, or will not come.
        return "" if free else "The job that was about to end goes on"

    def pause(self, now: float) -> float:
        """Return the seconds from a look to the next."""
        planned = (at for at in self._planned or () if at - now > _SOON / 2)
        unused = min(self._free_since, self._elsewhere_since) + _FREE_FOR
        until = min(next(planned, now + _LOOK_EVERY), self.ends_at, max(unused, now + _LOOK_EVERY))
        return until - now

    @property
    def _elsewhere_since(self) -> float:
        return min(self._free_elsewhere.values(), default=math.inf)

    def _record_elsewhere(self, capacity: Capacity, now: float) -> None:
        """Record which other accounts have a slot, if the job may go there."""
        if self._is_bound:
            return
        free = {account.email for account in capacity.accounts if account.available} - {self._email}
        self._free_elsewhere = {email: self._free_elsewhere.get(email, now) for email in free}

    def _unused_at(self, free: int) -> float:
        """
        Return from when on nobody ahead seems to want the slot: its task has gone, or no look shows its job.

        Those behind it wait a little longer, one after another.
        """
        return self._free_since + _FREE_FOR + _LOOK_EVERY * (len(self._ahead) - free)

    def _plan(self, capacity: Capacity, now: float) -> None:
        if (awaited := self._awaited) is None:
            return
        running = next((job.running for job in capacity.executing if job.id == awaited.job_id), None)
        if running is None:
            self._planned = ()
        elif self._planned is None:
            # Both are whole seconds of the service, so what is cut off on average counts for nothing.
            end = now + awaited.usual_seconds - running.total_seconds()
            self._planned = (end, end + _SOON)
