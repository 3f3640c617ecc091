"""SharedLooks: the snapshots of the loop, for everything in a batch that has to see the executing jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_pixverse.api.errors import PixverseError, PixverseTransientError

if TYPE_CHECKING:
    from airflow_pixverse.api.accounts import Account
    from airflow_pixverse.api.client import PixverseClient
    from airflow_pixverse.api.results import JobResult, ResultPage
    from airflow_pixverse.api.scheduler import Capacity
    from airflow_pixverse.api.submission import Submission


class StoppedError(BaseException):
    """The loop ends, so a look for a lost job ends too, and the next process takes it up."""


class SharedLooks:
    """
    A client that asks for no snapshot by itself, but waits for the next one of the loop.

    Every other call goes to the service. The loop calls :meth:`take`; all other methods are for threads.

    :param client_of: returns the client, which does not retry.
    """

    def __init__(self, client_of: Callable[[], PixverseClient]) -> None:
        self._client_of = client_of
        self._changed = threading.Condition()  # re-entrant, for signal handlers
        self._begun = self._done = 0  # numbers of snapshots
        self._last: Capacity | PixverseError | None = None
        self._stopped = False
        self._waiting = 0

    @property
    def is_awaited(self) -> bool:
        """Whether a look for a lost job waits for a snapshot."""
        return self._waiting > 0

    def take(self) -> Capacity:
        """
        Take the next snapshot, and show it to all who wait.

        :raises PixverseError: there is none.
        """
        with self._changed:
            self._begun += 1
        seen: Capacity | PixverseError
        try:
            seen = self._client_of().get_capacity()
        except PixverseError as error:
            seen = error
        with self._changed:
            self._done, self._last = self._begun, seen
            self._changed.notify_all()
        if isinstance(seen, PixverseError):
            raise seen
        return seen

    def get_capacity(self) -> Capacity:
        """Return the first snapshot that is begun after this call."""
        with self._changed:
            wanted = self._begun + 1
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self._stopped or self._done >= wanted)
            finally:
                self._waiting -= 1
            if self._stopped:
                raise StoppedError
            last = self._last
        if isinstance(last, PixverseError):
            raise PixverseTransientError(str(last)) from last
        assert last is not None  # noqa: S101 - a snapshot is done
        return last

    def submit(self, endpoint: str, payload: dict[str, Any]) -> Submission:
        """Submit a job."""
        return self._client_of().submit(endpoint, payload)

    def get_result(self, job_id: str, kind: str | None = None) -> JobResult:
        """Return the result of a job."""
        return self._client_of().get_result(job_id, kind)

    def get_accounts(self) -> list[Account]:
        """Return the accounts."""
        return self._client_of().get_accounts()

    def list_results(
        self, kind: str, *, email: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> ResultPage:
        """Return a page of results."""
        return self._client_of().list_results(kind, email=email, limit=limit, offset=offset)

    def sleep(self, seconds: float) -> None:
        """
        Sleep in a thread, unless the loop ends.

        :raises StoppedError: it does.
        """
        with self._changed:
            if self._changed.wait_for(lambda: self._stopped, timeout=seconds):
                raise StoppedError

    def stop(self) -> None:
        """End all waits, from any thread or signal handler."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
