"""Submitting: rows that wait for a slot, and what follows from each answer to a submit."""

from __future__ import annotations

import logging
import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

from airflow_pixverse.api.errors import (
    PixverseAccessError,
    PixverseError,
    PixverseFatalError,
    PixverseRateLimitError,
    is_of_account,
)
from airflow_pixverse.api.kinds import takes_any_account
from airflow_pixverse.api.scheduler import email_key, obstacles
from airflow_pixverse.batch.fair_share import FairShares
from airflow_pixverse.batch.placing import place
from airflow_pixverse.batch.row_work import InputError
from airflow_pixverse.batch.rows import Row, RowStatus
from airflow_pixverse.gate.suspicion import Suspicion
from airflow_pixverse.submission.errors import NotListedError, NotOursError, UnsettledError
from airflow_pixverse.waits.submit_state import submit_backoff

if TYPE_CHECKING:
    from airflow_pixverse.api.scheduler import Capacity
    from airflow_pixverse.batch.budget import AccountFloor, CreditLimit
    from airflow_pixverse.batch.room import Limits
    from airflow_pixverse.batch.row_work import RowWork
    from airflow_pixverse.batch.steps import Steps
    from airflow_pixverse.journal import SubmitRecord

log = logging.getLogger(__name__)

# How often a row is tried in one try of the task, where only it has trouble.
_ROW_TRIES = 4
# Setbacks in a row, with pauses of 40 minutes in all, after which the rest is left to Airflow's retry.
_MOST_SETBACKS = 12
# Processes that gave way to each other come back after different times, in seconds.
_GIVE_WAY = (1.0, 5.0)


class Submitting:
    """
    The rows that wait for a slot or are being submitted.

    A row that is refused fails itself only. A refusal for now (429) and trouble with the service pause all
    rows. What stops the whole batch is in :attr:`stopped`.

    :param prefix: the beginning of each ``replyRef`` of this run.
    :param remake: states of other runs that are made again.
    :param follow: takes over a row that is accepted.
    :param reconnect: reads the connection again.
    """

    def __init__(
        self,
        work: RowWork,
        steps: Steps,
        limits: Limits,
        *,
        prefix: str,
        remake: Collection[str],
        credit_limit: CreditLimit,
        floor: AccountFloor,
        follow: Callable[[Row, SubmitRecord], None],
        reconnect: Callable[[], None],
    ) -> None:
        self._work = work
        self._steps = steps
        self._limits = limits
        self._prefix = prefix
        self._remake = remake
        self._credit_limit = credit_limit
        self._floor = floor
        self._follow = follow
        self._reconnect = reconnect
        self.stopped = ""
        """Why no more rows are submitted; empty if more are."""
        self._is_final = False
        # Rows that no retry would submit, as none of their accounts takes any more.
        self._given_up: set[Row] = set()
        self.in_flight: dict[Row, str] = {}
        """Rows that are being submitted, and the account of each; empty for any."""
        self.accepted_at = -math.inf
        """When the last row was accepted, by the monotonic clock."""
        self._waiting: deque[Row] = deque()
        # Rows that another process was sending when it ended: their jobs may run, and be paid for.
        self._sought: set[Row] = set()
        self._tries: Counter[Row] = Counter()
        self._not_before: dict[Row, float] = {}
        self._paused_until = 0.0
        self._refusals = self._setbacks = 0
        # Rows are sent in rounds, one a look. Trouble counts once a round.
        self._round = self._paused_round = self._accepted_round = 0
        self._sent_in: dict[Row, int] = {}
        self._denied_in: dict[Row, int] = {}
        self._shares = FairShares(prefix, limits.emails)
        self._suspicion = Suspicion()
        self._barred: dict[str, str] = {}
        self._may_recover = False
        self._warned: set[str] = set()

    @property
    def has_more(self) -> bool:
        """Whether there are rows to submit."""
        return bool(self._waiting) and not self.stopped

    @property
    def is_shared(self) -> bool:
        """Whether there are rows to submit, and other tasks probably wait for slots, too."""
        return self.has_more and self._shares.is_shared

    def is_final(self, left: Sequence[Row]) -> bool:
        """Return whether a retry would leave the same rows for the same reasons."""
        return self._is_final or self._given_up.issuperset(left)

    def take_up(self, row: Row) -> None:
        """Take up a row as it is placed: submit it, follow it, look for its job, or leave it."""
        if row.status is RowStatus.WAITING:
            self._waiting.append(row)
        elif row.status is RowStatus.RUNNING and row.record:
            if row.record.state == "accepted":
                self._follow(row, row.record)
            else:
                self._look_for(row, row.record)
        elif row.status is RowStatus.UNKNOWN and row.record:
            self._look_for(row, row.record)  # it may be there by now

    def submit(self, capacity: Capacity, taken: Sequence[str], running: int) -> None:
        """
        Submit as many rows as there is room for.

        :param capacity: a snapshot.
        :param taken: the accounts of jobs that are accepted and that the snapshot does not have yet.
        :param running: how many rows of this batch have jobs that have not ended.
        """
        now = time.monotonic()
        if capacity.lists_all_executing:
            self._shares.see(capacity.executing)
        if not self.has_more or now < self._paused_until:
            self._shares.take_turns(Counter())  # what is free now is not left
            return
        self._round += 1
        self._leave_barred(capacity)
        self._warn_of_obstacles(capacity)
        free = self._limits.free(capacity, [*self.in_flight.values(), *taken], self._barred)
        room = sum(free.values()) - self._limits.keep_free
        free = self._shares.take_turns(free)
        if self._limits.max_slots is not None:
            room = min(room, self._limits.max_slots - running - len(self.in_flight) - len(self._sought))
        if self._setbacks:  # one row tells whether the trouble is over
            room = min(room, 1 - len(self.in_flight))
        for _ in range(len(self._waiting)):
            if room <= 0 or self.stopped:
                break
            row = self._waiting.popleft()
            email = None if self._not_before.get(row, now) > now else self._account_for(row, free)
            if email is None:
                self._waiting.append(row)
                continue
            free[email] -= 1
            room -= 1
            self._send(row, email)

    def _warn_of_obstacles(self, capacity: Capacity) -> None:
        """Log each reason once why rows may wait forever: all rows, or those that name an account."""
        found = set(obstacles(capacity, self._limits.keep_free + 1, self._limits.emails))
        named = {email for row in self._waiting if row.request for email in row.request.emails or ()}
        for email in named - set(self._limits.emails or ()):
            found.update(obstacles(capacity, 1, [email]))
        for obstacle in sorted(found - self._warned):
            log.warning("%s", obstacle)
        self._warned |= found

    def _account_for(self, row: Row, free: Counter[str]) -> str | None:
        """Return the account with the most free slots that may make a row now; None if there is none."""
        chosen = row.request.emails if row.request else None
        keys = None if chosen is None else {email_key(email) for email in chosen}
        for email, slots in free.most_common():
            key = email_key(email)
            is_fit = slots > 0 and key not in self._barred and (keys is None or key in keys)
            if is_fit and self._is_affordable(email):
                return email
        return None

    def _leave_barred(self, capacity: Capacity) -> None:
        """Leave the rows none of whose accounts takes any more. If that is true of all accounts, stop."""
        if not self._barred:
            return
        if why := self._reason_barred(capacity, self._limits.emails):
            self._stop(why, is_final=not self._may_recover)
            return
        for row in [row for row in self._waiting if row.request and row.request.emails]:
            if row.request and (why := self._reason_barred(capacity, row.request.emails)):
                row.reason = why
                self._waiting.remove(row)
                if not self._may_recover:
                    self._given_up.add(row)

    def _reason_barred(self, capacity: Capacity, emails: Sequence[str] | None) -> str:
        """Return why none of the chosen accounts takes any more; empty if one does, or none is listed."""
        reasons = [self._barred.get(email_key(account.email)) for account in capacity.chosen(emails)]
        return "; ".join(dict.fromkeys(filter(None, reasons))) if all(reasons) else ""

    def _is_affordable(self, email: str) -> bool:
        of_account = sum(one == email for one in self.in_flight.values())
        floor = self._floor.answer(email or None, of_account, self._credit_limit.dearest)
        if floor.stops and email_key(email) not in self._barred:
            self._may_recover = self._may_recover or floor.may_recover
            self._bar(email, floor.stops)
        if not floor.allows:
            return False
        limit = self._credit_limit.answer(len(self.in_flight))
        if limit.stops and not self._sought:  # of which one may turn out to be not accepted
            self._stop(limit.stops, is_final=True)
        return limit.allows

    def _send(self, row: Row, email: str) -> None:
        row.status = RowStatus.RUNNING
        self.in_flight[row] = email
        self._shares.record_sent(email)
        self._sent_in[row] = self._round
        self._steps.start(
            partial(self._work.submit, row, email if email and self._names_account(row) else None),
            partial(self._accepted, row),
            partial(self._not_accepted, row),
            pool="submit",
        )

    def _names_account(self, row: Row) -> bool:
        """Return whether a submit names its account: not every endpoint takes ``email``."""
        request = row.request
        is_chosen = self._floor.is_set or (request is not None and request.emails is not None)
        return is_chosen or (request is not None and takes_any_account(request.endpoint))

    def _accepted(self, row: Row, record: SubmitRecord) -> None:
        email = self.in_flight.pop(row)
        self.accepted_at = time.monotonic()
        self._refusals = self._setbacks = 0
        self._accepted_round = max(self._accepted_round, self._sent_in[row])
        self._suspicion.clear()
        self._shares.record_accepted(email, record.job_ids)
        self._credit_limit.add(record)
        cost = record.cost_credits
        self._floor.add(email, self._credit_limit.dearest if cost is None else cost)
        self._follow(row, record)

    def _not_accepted(self, row: Row, error: PixverseError) -> None:
        """Decide by the class of an error what becomes of a row, and of all others."""
        email = self.in_flight.pop(row, "")
        if not isinstance(error, UnsettledError):
            self._shares.record_not_accepted(email)
        row.status = RowStatus.WAITING
        match error:
            case UnsettledError():
                row.status, row.reason, row.record = RowStatus.UNKNOWN, str(error), error.record
                self._credit_limit.add(error.record)
                self._floor.add(email, self._credit_limit.dearest)
                log.warning("Row %s: %s", row.key, error)
            case NotOursError():
                self._credit_limit.add(error.record)
                self._give_way(row)
            case PixverseRateLimitError():
                self._refuse(row, error)
            case InputError(is_final=False):
                self._try_row_again(row, error)
            case PixverseError() if is_of_account(error):
                self._leave_account(row, email, error)
            case PixverseAccessError():
                self._deny(row, error)
            case PixverseFatalError() | InputError():
                self._fail(row, error)
            case _:  # transient, or trouble with the folder: it is not accepted, and may be later
                row.is_resubmission = row.is_resubmission or isinstance(error, NotListedError)
                self._pause_all(row, error)

    def _fail(self, row: Row, error: PixverseError) -> None:
        """Refuse a row for good."""
        row.status, row.reason = RowStatus.REFUSED, str(error)
        log.warning("Row %s is refused: %s", row.key, error)

    def _leave_account(self, row: Row, email: str, error: PixverseError) -> None:
        """Submit nothing more to an account; if the endpoint has chosen it, refuse the row."""
        if email and not self._names_account(row):
            self._fail(row, error)
            return
        self._bar(email, str(error))
        self._waiting.appendleft(row)

    def _deny(self, row: Row, error: PixverseAccessError) -> None:
        """
        Let a row wait that the token may not submit, as with 401 and 403, and read the connection again.

        The row is refused alone once it is denied again after a later row was accepted. Where none is, a
        minute of denials stops the batch.
        """
        if self._accepted_round > self._denied_in.setdefault(row, self._round):
            self._fail(row, error)
            return
        row.reason = str(error)
        self._reconnect()
        if self._suspicion.confirms(time.monotonic()):
            self._stop(str(error))
        self._pause_all(row, error)

    def _refuse(self, row: Row, error: PixverseRateLimitError) -> None:
        # At the end of the queue: a prompt that is refused each time keeps no other from being sent.
        self._waiting.append(row)
        if not self._is_news(row):
            return
        self._refusals += 1
        if self._refusals > self._limits.max_refusals:
            self._stop(f"{error}; refused {self._refusals} times in a row")
        self._pause(max(submit_backoff(self._refusals), error.retry_after or 0.0), error)

    def _pause_all(self, row: Row, error: PixverseError) -> None:
        # At the end of the queue: a row whose submit gets lost twice in a row is unknown.
        self._waiting.append(row)
        if not self._is_news(row):
            return
        self._setbacks += 1
        if self._setbacks > _MOST_SETBACKS:
            self._stop(f"{error}; this was setback number {self._setbacks} in a row")
        self._pause(max(submit_backoff(self._setbacks), getattr(error, "retry_after", None) or 0.0), error)

    def _is_news(self, row: Row) -> bool:
        """Return whether this is the first trouble of those rows that were sent before it was known."""
        is_news = self._sent_in[row] > self._paused_round
        self._paused_round = self._round
        return is_news

    def _pause(self, seconds: float, error: PixverseError) -> None:
        log.warning("No row is submitted for %.0f s: %s", seconds, error)
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def _try_row_again(self, row: Row, error: PixverseError) -> None:
        """Let a row wait, and leave it to a later try after a few tries."""
        self._tries[row] += 1
        row.reason = str(error)
        log.warning("Row %s: %s", row.key, error)
        if self._tries[row] < _ROW_TRIES:
            self._not_before[row] = time.monotonic() + submit_backoff(self._tries[row])
            self._waiting.append(row)

    def _give_way(self, row: Row) -> None:
        """Let another process go on with a row, and look later what has become of it."""
        seconds = random.uniform(*_GIVE_WAY)  # noqa: S311 - no secret
        self._steps.start(
            partial(self._work.read, row, after=seconds),
            partial(self._place, row),
            partial(self._try_row_again, row),
            pool="find",
        )

    def _place(self, row: Row, records: list[SubmitRecord]) -> None:
        """Go on with a row by what the folder has of it now."""
        for record in records:
            self._credit_limit.add(record)
        place(row, records, prefix=self._prefix, remake=self._remake)
        if row.status is not RowStatus.UNKNOWN:  # which was just looked for
            self.take_up(row)

    def _look_for(self, row: Row, record: SubmitRecord) -> None:
        """Look for the job of a submit that another process has sent."""

        def known(records: list[SubmitRecord]) -> None:
            self._sought.discard(row)
            self._place(row, records)

        def failed(error: PixverseError) -> None:
            self._sought.discard(row)
            row.reason = f"what became of it cannot be read now: {error}"
            log.warning("Row %s: %s", row.key, row.reason)

        if record.state == "sending":
            self._sought.add(row)
        log.info("Row %s: looking for what another process has sent", row.key)
        self._steps.start(partial(self._work.find, row, record), known, failed, pool="find")

    def _bar(self, email: str, why: str) -> None:
        log.warning("Nothing more is submitted to %s: %s", email or "the account", why)
        self._barred[email_key(email)] = why

    def _stop(self, why: str, *, is_final: bool = False) -> None:
        if not self.stopped:
            log.warning("No more rows are submitted: %s", why)
            self.stopped, self._is_final = why, is_final
