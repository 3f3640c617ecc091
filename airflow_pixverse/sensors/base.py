"""PixverseSensor: the base of the sensors, with the table of outcomes in every mode."""

import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    Context,
    PokeReturnValue,
)

from airflow_pixverse.api.errors import (
    PixverseError,
    PixverseFatalError,
    PixverseNoResultError,
    PixverseTransientError,
)
from airflow_pixverse.capabilities import is_deferral_timeout
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.parameters import check_at_parse, parse_conn_id, parse_flag
from airflow_pixverse.sensors.outcome import outcome_of
from airflow_pixverse.waits.deadlines import Deadlines, Limit
from airflow_pixverse.waits.events import WaitStatus


class PixverseSensor(BaseSensorOperator):
    """
    A sensor that polls through the hook in poke and reschedule mode, or defers to a trigger.

    A subclass defines the poll, the deferral, and the meaning of the trigger's event.

    :param pixverse_conn_id: id of the connection that holds the API token.
    :param deferrable: wait in the triggerer instead of a worker.
    """

    def __init__(self, *, pixverse_conn_id: str, deferrable: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pixverse_conn_id = pixverse_conn_id
        self.deferrable = parse_flag(deferrable, "deferrable")
        check_at_parse(self, parse_conn_id, pixverse_conn_id)
        self._last_error: PixverseError | None = None
        self._retry_after = 0.0
        # Start of a wait that continues with another deferral; None for now.
        self._waiting_since: float | None = None

    @abstractmethod
    def _look(self) -> PokeReturnValue | bool:
        """
        Poll once, and clear the last error after an answer.

        :raises PixverseFatalError: a permanent error; another poll will not help.
        :raises PixverseTransientError: no usable answer this time.
        """

    @abstractmethod
    def _wait_in_triggerer(self, context: Context) -> Any:
        """Defer the wait, or return its result if there is one already."""

    @abstractmethod
    def _unfinished(self) -> str:
        """Return the reason for a timeout, as the beginning of a sentence."""

    def _complete(self, event: dict[str, Any] | None) -> Any:
        """Return the task's value after an event of its trigger, or raise the error that it stands for."""
        match event:
            case {"status": WaitStatus.TIMEOUT, "message": message}:
                raise AirflowSensorTimeout(message)
            case {"status": WaitStatus.EXECUTION_TIMEOUT, "message": message}:
                raise AirflowTaskTimeout(message)
            case {"status": WaitStatus.FATAL, "message": message}:
                raise PixverseFatalError(message)
            case {"status": WaitStatus.ERROR, "message": message}:
                raise AirflowException(message)
        raise AirflowException(f"the trigger sent an event that this version does not know: {event!r}")

    def _finish(self, context: Context, value: Any) -> Any:  # noqa: ARG002
        """Return the task's value, after the wait has ended well with ``value``."""
        return value

    def _check_rendered(self) -> None:
        """Raise a ValueError if a rendered parameter cannot be used."""
        parse_conn_id(self.pixverse_conn_id)

    @cached_property
    def hook(self) -> PixverseHook:
        """The hook of this task. It does not retry: the next poke does."""
        return PixverseHook(self.pixverse_conn_id, max_retries=0)

    def execute(self, context: Context) -> Any:
        """Wait, or defer the wait to the triggerer."""
        with self._outcome():
            try:
                self._check_rendered()
            except ValueError as error:
                raise PixverseFatalError(str(error)) from None
            value = self._wait_in_triggerer(context) if self.deferrable else super().execute(context)
            return self._finish(context, value)

    def poke(self, context: Context) -> PokeReturnValue | bool:  # noqa: ARG002
        """
        Poll once.

        :raises PixverseFatalError: a permanent error; another poll will not help.
        """
        self._retry_after = 0.0
        try:
            return self._look()
        except PixverseTransientError as error:
            self._last_error, self._retry_after = error, error.retry_after or 0.0
            self.log.warning("Still waiting: %s", error)
            return False
        except (PixverseFatalError, PixverseNoResultError):
            self.silent_fail = False  # which is for transient errors
            raise

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """Wait for as long as the server asks (``Retry-After``), but not beyond ``timeout``."""
        interval: float = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        return max(interval, min(self._retry_after, self.timeout - run_duration()))

    def _common(self) -> dict[str, Any]:
        """Return the parameters that every trigger takes from the sensor."""
        return {
            "pixverse_conn_id": self.pixverse_conn_id,
            "waiting_since": self._waiting_since,
            "poke_interval": self.poke_interval,
            "timeout": self.timeout,
            "execution_timeout": self.execution_timeout.total_seconds() if self.execution_timeout else None,
        }

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Turn the trigger's event into the outcome; an unknown event is a failure."""
        return self._finish(context, self._complete(event))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume after the deferral.

        This bypasses ``BaseSensorOperator``, which skips under ``soft_fail`` after any error.
        """
        with self._outcome():
            try:
                return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
            except AirflowException as error:
                if not is_deferral_timeout(error):
                    raise
                self._waiting_since = context["ti"].start_date.timestamp()
                execution_timeout = self.execution_timeout.total_seconds() if self.execution_timeout else None
                end, limit = Deadlines(self._waiting_since, self.timeout, execution_timeout).first
                if end <= time.time():
                    # Airflow itself ended the wait: the triggerer was down when the deadline passed.
                    raise self._deadline_error(limit) from error
            # Airflow defers for a year at most, and the wait may take longer.
            return self._finish(context, self._wait_in_triggerer(context))

    def _deadline_error(self, limit: Limit) -> BaseException:
        if limit is Limit.EXECUTION_TIMEOUT:
            return AirflowTaskTimeout(f"execution_timeout of {self.execution_timeout} has passed")
        return AirflowSensorTimeout(f"{self._unfinished()} within timeout={self.timeout:g} s")

    def on_kill(self) -> None:
        """Skip under ``never_fail`` if Airflow 2.11 ends an expired deferral without resuming it."""
        if self.never_fail and isinstance(error := sys.exception(), AirflowTaskTimeout):
            raise AirflowSkipException("execution_timeout has passed, and never_fail is set") from error

    @contextmanager
    def _outcome(self) -> Iterator[None]:
        """Apply the table of outcomes, in every mode and on every Airflow."""
        try:
            yield
        except (Exception, AirflowTaskTimeout) as error:  # not an Exception on Airflow 2
            trouble = f" (last API error: {self._last_error})" if self._last_error else ""
            if trouble and isinstance(error, AirflowSensorTimeout):
                error.args = (f"{error}{trouble}",)
            outcome = outcome_of(
                error, soft_fail=self.soft_fail, never_fail=self.never_fail, deferrable=self.deferrable
            )
            if isinstance(outcome, AirflowSkipException):
                self.log.warning("Skipping: %s", outcome.__cause__ or outcome)
            if outcome is error:
                raise
            # The error's own cause must not get the error as its cause, or loggers would loop.
            raise outcome from (None if outcome is error.__cause__ else error)
