"""
The look at the service: what is known of each connection, however many people look at the page.

One call in ten seconds, a connection and process, in a thread of its own: a service that does not answer
holds nobody up. Whoever comes first waits for it, two seconds at most; the others get the last snapshot.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_pixverse.api.errors import PixverseError, PixverseTransientError
from airflow_pixverse.api.models import email_key
from airflow_pixverse.hooks.connection import connection_label
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.page.trouble import connection_trouble, no_answer_yet, page_trouble, service_trouble
from airflow_pixverse.page.words import harmless
from airflow_pixverse.threads import start_in_own_thread

if TYPE_CHECKING:
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.models import Capacity
    from airflow_pixverse.page.answer import Trouble, TroubleKind

CALL_EVERY = 10.0
"""Seconds from one call to the next."""
FIRST_LOOK_WAITS = 2.0
"""Seconds for which whoever looks first waits for an answer."""
# Whoever comes after this many seconds in which nobody has looked is the first again.
_FORGOTTEN_AFTER = 30.0
# The errors of accounts are asked for less often: this many seconds apart.
_ACCOUNTS_EVERY = 300.0
# A call that takes longer than this many seconds is worth a word.
_SLOW_AFTER = 10.0
_LONGEST_PAUSE = 300.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CapacityView:
    """
    What is known of a connection's capacity.

    :param capacity: the last snapshot; None if there is none yet.
    :param taken_at: when it was taken, in seconds since the epoch.
    :param account_errors: what is wrong with accounts, by ``email_key``.
    :param trouble: why there is no newer snapshot; None if all is well.
    """

    capacity: Capacity | None = None
    taken_at: float | None = None
    account_errors: Mapping[str, str] = field(default_factory=dict)
    trouble: Trouble | None = None


class CapacityViews:
    """
    What is known of every connection that somebody has looked at.

    :param clock: a clock that only goes forward, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._looks: dict[str, _Looks] = {}

    async def latest(self, conn_id: str) -> CapacityView:
        """
        Return what is known of a connection, and have it looked at again if it is time to.

        :param conn_id: id of a connection that exists.
        """
        with self._lock:
            looks = self._looks.setdefault(conn_id, _Looks(conn_id, self._clock))
        pending, seconds = looks.look_if_due()
        if pending is not None and seconds > 0:
            # This neither cancels the look nor raises what it raises.
            await asyncio.wait([asyncio.wrap_future(pending)], timeout=seconds)
        return looks.view()


class _Looks:
    """The looks at one connection, one at a time."""

    def __init__(self, conn_id: str, clock: Callable[[], float]) -> None:
        self._conn_id = conn_id
        self._clock = clock
        self._lock = threading.Lock()
        self._view = CapacityView()
        self._pending: Future[None] | None = None
        self._began_at = 0.0
        self._wait_until = 0.0
        # By the clock, as the two above.
        self._due_at = self._clock()
        self._accounts_due_at = self._due_at
        self._asked_at = -math.inf

    def look_if_due(self) -> tuple[Future[None] | None, float]:
        """Return the look that is under way, if any, and for how many seconds to wait for it."""
        with self._lock:
            now = self._clock()
            is_first = now - self._asked_at > _FORGOTTEN_AFTER
            self._asked_at = now
            if self._pending is None and now >= self._due_at:
                self._began_at = now
                self._wait_until = now + FIRST_LOOK_WAITS if is_first else now
                self._pending = start_in_own_thread(self._look, name="pixverse-page")
            return self._pending, self._wait_until - now

    def view(self) -> CapacityView:
        """Return what is known now."""
        with self._lock:
            view, pending = self._view, self._pending
            seconds = self._clock() - self._began_at
        is_slow = seconds >= _SLOW_AFTER or (view.capacity is None and view.trouble is None)
        if pending is None or not is_slow:
            return view
        now = time.time()
        if view.trouble is not None:
            return replace(view, trouble={**view.trouble, "retry_at": now})
        kind, message = no_answer_yet()
        trouble: Trouble = {"kind": kind, "message": message, "since": now - seconds, "retry_at": now}
        return replace(view, trouble=trouble)

    def _look(self) -> None:
        pause = CALL_EVERY
        try:
            client = PixverseHook(self._conn_id, max_retries=0).get_conn()
        except PixverseError as error:
            self._met(*connection_trouble(error), pause, error)
            return
        except Exception:
            log.exception("The page could not read %s", self._label)
            self._met(*page_trouble(), pause)
            return
        try:
            with client:
                capacity = client.get_capacity()
                taken_at = time.time()
                errors = self._view.account_errors
                with self._lock:
                    self._view = CapacityView(capacity, taken_at, errors)
                if self._clock() >= self._accounts_due_at:
                    errors = self._account_errors(client)
                    pause += CALL_EVERY  # it was one call more
        except PixverseError as error:
            if isinstance(error, PixverseTransientError):
                pause = min(max(pause, error.retry_after or 0.0), _LONGEST_PAUSE)
            self._met(*service_trouble(error), pause, error)
        except Exception:
            log.exception("The page could not look at %s", self._label)
            self._met(*page_trouble(), pause)
        else:
            self._end(CapacityView(capacity, taken_at, errors), pause)

    @property
    def _label(self) -> str:
        return connection_label(self._conn_id)

    def _account_errors(self, client: PixverseClient) -> dict[str, str]:
        self._accounts_due_at = self._clock() + _ACCOUNTS_EVERY
        try:
            accounts = client.get_accounts()
        except PixverseError as error:
            log.info("%s: what is wrong with its accounts is not known: %s", self._label, error)
            return {}
        return {email_key(account.email): harmless(account.error) for account in accounts if account.error}

    def _met(self, kind: TroubleKind, message: str, pause: float, error: PixverseError | None = None) -> None:
        before = self._view.trouble
        is_new = before is None or before["kind"] != kind
        if is_new and error is not None:
            log.warning("The page has no new snapshot of %s: %s", self._label, error)
        now = time.time()
        trouble: Trouble = {
            "kind": kind,
            "message": message,
            "since": now if before is None else before["since"],
            "retry_at": now + pause,
        }
        self._end(replace(self._view, trouble=trouble), pause)

    def _end(self, view: CapacityView, pause: float) -> None:
        with self._lock:
            self._view = view
            self._pending = None
            self._due_at = self._began_at + pause
