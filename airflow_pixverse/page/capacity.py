"""
The last snapshot of each connection, whatever the number of users that look at the page.

A process polls a connection once in ten seconds at most, in a thread of its own, so a service that does not
answer blocks no request of the page. Only the first user waits for the answer, two seconds at most.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.api.errors import (
    STATUS_MEANINGS,
    PixverseAuthError,
    PixverseError,
    PixverseFatalError,
    PixverseRateLimitError,
    PixverseTransientError,
)
from airflow_pixverse.api.scheduler import Capacity, email_key
from airflow_pixverse.hooks.connection import connection_label
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.page.response import PageProblem, ProblemKind
from airflow_pixverse.threads import start_in_own_thread

POLL_EVERY = 10.0
"""Seconds from one poll to the next."""
FIRST_POLL_WAITS = 2.0
"""Seconds for which the first user waits for the answer."""
STALE_AFTER = 30.0
"""Seconds after a poll until the next user waits as the first one does."""
# In seconds. The scheduler endpoints do not tell the errors of accounts.
_ACCOUNTS_EVERY = 300.0
_SLOW_AFTER = 10.0
_LONGEST_PAUSE = 300.0
_SEE_LOG = "The log of the API server tells more."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CapacityView:
    """
    The capacity of a connection, as far as it is known.

    :param capacity: the last snapshot; None if there is none yet.
    :param taken_at: when the service answered with it, in seconds since the epoch.
    :param account_errors: errors of accounts, by ``email_key``.
    :param problem: the reason why there is no newer snapshot; None if there is one.
    """

    capacity: Capacity | None = None
    taken_at: float | None = None
    account_errors: Mapping[str, str] = field(default_factory=dict)
    problem: PageProblem | None = None


class CapacityPoller:
    """
    The polls of one connection, one at a time.

    :param conn_id: id of a connection that exists.
    :param clock: monotonic clock, in seconds.
    """

    def __init__(self, conn_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._conn_id = conn_id
        self._label = connection_label(conn_id)
        self._clock = clock
        self._lock = threading.Lock()
        self._view = CapacityView()
        self._pending: Future[None] | None = None
        # By the clock.
        self._began_at = self._due_at = self._accounts_due_at = clock()
        self._ended_at = -math.inf

    async def latest(self) -> CapacityView:
        """Return the last snapshot, and start the next poll if it is due."""
        with self._lock:
            now = self._clock()
            if self._pending is None and now >= self._due_at:
                self._began_at = now
                self._pending = start_in_own_thread(self._poll, name="pixverse-page")
            pending = self._pending
            is_stale = now - self._ended_at > STALE_AFTER
            seconds = self._began_at + FIRST_POLL_WAITS - now
        if pending and is_stale and seconds > 0:
            # This neither cancels the poll nor raises its error.
            await asyncio.wait([asyncio.wrap_future(pending)], timeout=seconds)
        return self._view_now()

    def _view_now(self) -> CapacityView:
        with self._lock:
            view, pending = self._view, self._pending
            seconds = self._clock() - self._began_at
        is_known = view.capacity is not None or view.problem is not None
        if pending is None or (is_known and seconds < _SLOW_AFTER):
            return view
        now = time.time()
        slow: PageProblem = {
            "kind": "network",
            "message": "useapi.net has not answered yet.",
            "since": now - seconds,
            "retry_at": now,
        }
        return replace(view, problem={**(view.problem or slow), "retry_at": now})

    def _poll(self) -> None:
        client, pause = None, POLL_EVERY
        try:
            client = PixverseHook(self._conn_id, max_retries=0).get_conn()
            with client:
                self._view = CapacityView(client.get_capacity(), time.time(), self._view.account_errors)
                if self._clock() >= self._accounts_due_at:
                    self._accounts_due_at = self._clock() + _ACCOUNTS_EVERY
                    self._view = replace(self._view, account_errors=self._account_errors(client))
                    pause += POLL_EVERY  # it was one call more
        except PixverseError as error:
            if isinstance(error, PixverseTransientError):
                pause = min(max(pause, error.retry_after or 0.0), _LONGEST_PAUSE)
            kind, message = _service_problem(error) if client else _connection_problem(error)
            if self._report(kind, message, pause):
                log.warning("The page has no new snapshot of %s: %s", self._label, error)
        except Exception:
            log.exception("The page could not poll %s", self._label)
            self._report("page", f"The page could not poll the accounts, which is a bug. {_SEE_LOG}", pause)
        with self._lock:
            self._pending = None
            self._ended_at = self._clock()
            self._due_at = self._began_at + pause

    def _account_errors(self, client: PixverseClient) -> dict[str, str]:
        try:
            accounts = client.get_accounts()
        except PixverseError as error:
            log.info("%s: the errors of its accounts are not known: %s", self._label, error)
            return {}
        return {email_key(account.email): account.error for account in accounts if account.error}

    def _report(self, kind: ProblemKind, message: str, pause: float) -> bool:
        """Take over a problem, and return whether its kind is new."""
        before, now = self._view.problem, time.time()
        problem: PageProblem = {
            "kind": kind,
            "message": message,
            "since": before["since"] if before else now,
            "retry_at": now + pause,
        }
        self._view = replace(self._view, problem=problem)
        return before is None or before["kind"] != kind


# The page has sentences of its own, since those of errors may name addresses.


def _connection_problem(error: PixverseError) -> tuple[ProblemKind, str]:
    if isinstance(error, PixverseFatalError):
        return "connection", f"The connection cannot be used: check it under Admin > Connections. {_SEE_LOG}"
    return "connection", f"The connection cannot be read just now. {_SEE_LOG}"


def _service_problem(error: PixverseError) -> tuple[ProblemKind, str]:
    status = None if error.says_success else error.status
    answer = f"useapi.net answered {status}" if status else "useapi.net gave no usable answer"
    if isinstance(error, PixverseAuthError):
        todo = "Put the current token into the password of the connection; all waits fail until then."
        return "token", f"{answer}: it refuses the API token. {todo}"
    if isinstance(error, PixverseFatalError):
        meaning = STATUS_MEANINGS.get(error.status or 0)
        reason = f": {meaning.hint}" if meaning and meaning.hint else ""
        return "refused", f"{answer}{reason}. {_SEE_LOG}"
    if isinstance(error, PixverseRateLimitError):
        return "busy", f"{answer}: too many requests. Nothing needs to be done."
    if status:
        return "service", f"{answer}. Tasks keep waiting; nothing needs to be done here."
    todo = f"If this lasts, check the network of the API server. {_SEE_LOG}"
    return "network", f"{answer}. Tasks keep waiting. {todo}"
