"""How a sensor ends: the table of outcomes in the README, the same in every mode and on every Airflow."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.storage.errors import StorageError


def outcome_of(error: BaseException, *, soft_fail: bool, never_fail: bool, deferrable: bool) -> BaseException:
    """
    Return what a sensor raises in place of an error, which may be the error itself.

    ``soft_fail`` skips on ``timeout`` only, ``never_fail`` on everything.
    """
    if isinstance(error, AirflowSkipException):
        # Airflow's sensors skip this one under soft_fail; here it fails, and may be retried.
        may_be_retried = soft_fail and isinstance(error.__cause__, AirflowTaskTimeout)
        return error.__cause__ if may_be_retried and error.__cause__ else error
    end: BaseException
    match error:
        case AirflowSensorTimeout():
            end, skips = error, soft_fail or never_fail
        case PixverseFatalError():
            end, skips = AirflowFailException(str(error)), never_fail
        case AirflowTaskTimeout() | PixverseTransientError() | StorageError():
            # The latter two are about storing the result, which follows the wait in every mode.
            end, skips = error, never_fail
        case _:
            # Not deferred, the base class has skipped already, and asks to be rescheduled by an exception.
            end, skips = error, never_fail and deferrable
    return AirflowSkipException(str(end)) if skips else end
