"""The table of outcomes of a sensor, the same in every mode and on every Airflow."""

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from airflow_pixverse.api.errors import PixverseError, PixverseFatalError


def outcome_of(error: BaseException, *, soft_fail: bool, never_fail: bool, deferrable: bool) -> BaseException:
    """
    Return the exception that a sensor raises for an error; it may be the error itself.

    ``soft_fail`` skips on ``timeout`` only, ``never_fail`` on everything.
    """
    if isinstance(error, AirflowSkipException):
        # Airflow's sensors skip this one under soft_fail; here it fails, and may be retried.
        may_be_retried = soft_fail and isinstance(error.__cause__, AirflowTaskTimeout)
        return error.__cause__ if may_be_retried and error.__cause__ else error
    # Not deferred, the base class skips on other errors itself, and asks to be rescheduled by an exception.
    is_ours = deferrable or isinstance(error, (AirflowSensorTimeout, AirflowTaskTimeout, PixverseError))
    if (never_fail and is_ours) or (soft_fail and isinstance(error, AirflowSensorTimeout)):
        return AirflowSkipException(str(error))
    return AirflowFailException(str(error)) if isinstance(error, PixverseFatalError) else error
