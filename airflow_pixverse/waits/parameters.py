"""Parameters of the waits in the triggerer, on their way from the task to the trigger."""

import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self, cast, get_type_hints

from airflow_pixverse.gate.lease_update import LeaseUpdate
from airflow_pixverse.parameters import (
    check_job_id,
    parse_conn_id,
    parse_emails,
    parse_flag,
    parse_optional_moment,
    parse_optional_seconds,
    parse_seconds,
    parse_slots,
    short_form,
)


def parse_lease_update(value: Any, name: str) -> dict[str, Any] | None:
    """Return the update of a lease; None if there is none."""
    if value is None:
        return None
    match value:
        case {"reference": str(reference), "update": str(update), **rest} if update in {*LeaseUpdate}:
            looked = parse_optional_seconds(rest.get("looked"), f"{name} (looked)")
            return {"reference": reference, "update": update} | ({} if looked is None else {"looked": looked})
    raise ValueError(f"{name} must be an object with reference and update, not {short_form(value)}")


def parse_state(value: Any, name: str) -> dict[str, Any] | None:
    """Return the state that a task passes through its trigger; None if there is none."""
    if value is None or isinstance(value, dict):
        return value
    raise ValueError(f"{name} must be an object, not {short_form(value)}")


def parse_priority(value: Any, name: str) -> int:
    """Return a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, not {short_form(value)}")
    return value


def parse_job_ids(value: Any, name: str = "job_ids") -> list[str]:
    """Return the ids of jobs, at least one."""
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"{name} must be a list of ids of jobs, not {short_form(value)}")
    return [check_job_id(item, name) for item in value]


@dataclass(frozen=True, kw_only=True)
class TriggerParameters:
    """
    The parameters of every wait. As keyword arguments of the trigger they are plain JSON.

    Each has a default, and :meth:`parse` ignores unknown ones: Airflow's database may hold arguments of
    another version of this package. Each is annotated with its parser.

    :param pixverse_conn_id: id of the connection that holds the API token.
    :param poke_interval: seconds between two polls.
    :param timeout: seconds from ``waiting_since`` to the timeout; None for never.
    :param execution_timeout: seconds from ``waiting_since`` to the execution timeout; None for never.
    :param waiting_since: start of the wait, in seconds since the epoch; None if it starts in the trigger.
    :param lease_update: the update of a slot that the gate keeps: ``reference``, and ``update`` as in
        :class:`~airflow_pixverse.gate.lease_update.LeaseUpdate`, and ``looked``, the seconds for which the
        worker has looked for the slot, if it was let through early; None for nothing.
    :param state: plain JSON that comes back to the task with the event; None for nothing.
    """

    pixverse_conn_id: Annotated[str, parse_conn_id] = "pixverse_default"
    poke_interval: Annotated[float, parse_seconds] = 60.0
    timeout: Annotated[float | None, parse_optional_seconds] = None
    execution_timeout: Annotated[float | None, parse_optional_seconds] = None
    waiting_since: Annotated[float | None, parse_optional_moment] = None
    lease_update: Annotated[dict[str, Any] | None, parse_lease_update] = None
    state: Annotated[dict[str, Any] | None, parse_state] = None

    @classmethod
    def parse(cls, kwargs: Mapping[str, Any]) -> Self:
        """
        Parse the keyword arguments of a trigger.

        :raises ValueError: one of them cannot be used; the message names it.
        """
        parsers = {name: parser for name, parser in _parsers(cast("Hashable", cls)).items() if name in kwargs}
        return cls(**{name: parse(kwargs[name], name) for name, parse in parsers.items()})

    @classmethod
    def unknown(cls, kwargs: Mapping[str, Any]) -> list[str]:
        """Return the names of keyword arguments that this version does not know."""
        return sorted(kwargs.keys() - _parsers(cast("Hashable", cls)).keys())

    def to_kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments of the trigger."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class WaitParameters(TriggerParameters):
    """
    The parameters of a wait for slots, in addition to those of every wait.

    :param slots: free slots to wait for.
    :param emails: the accounts that count; None for all accounts.
    :param exponential_backoff: whether the interval grows with the time waited.
    :param max_wait: longest interval in seconds; None for no limit.
    :param first_poll_at: time to queue, in seconds since the epoch; None for at once.
    :param lease: seconds for which the gate keeps a granted slot from other waits; None for its default.
    :param ticket: whether the lease is for one job, whose reference and lease come with the event.
    :param priority_weight: of the task, as its author wrote it; the higher, the earlier it is served.
    :param end_from_trigger: whether the triggerer ends the task if slots are free.
    :param do_xcom_push: whether a task that ends in the triggerer pushes the accounts to XCom.
    :param report_credits: whether the event has the credits of the account.
    """

    slots: Annotated[int, parse_slots] = 1
    emails: Annotated[list[str] | None, parse_emails] = None
    exponential_backoff: Annotated[bool, parse_flag] = False
    max_wait: Annotated[float | None, parse_optional_seconds] = None
    first_poll_at: Annotated[float | None, parse_optional_moment] = None
    lease: Annotated[float | None, parse_optional_seconds] = None
    ticket: Annotated[bool, parse_flag] = False
    priority_weight: Annotated[int, parse_priority] = 1
    end_from_trigger: Annotated[bool, parse_flag] = False
    do_xcom_push: Annotated[bool, parse_flag] = True
    report_credits: Annotated[bool, parse_flag] = False


@dataclass(frozen=True, kw_only=True)
class JobParameters(TriggerParameters):
    """
    The parameters of a wait for jobs, in addition to those of every wait.

    :param job_ids: ids of the jobs.
    :param first_poll_at: time of the first poll, in seconds since the epoch; None for at once.
    :param end_from_trigger: whether the triggerer ends the task of a submit if all jobs are completed.
    :param do_xcom_push: whether a task that ends in the triggerer pushes its value to XCom.
    :param endpoint: the endpoint of the submit, for metrics; empty if unknown.
    :param report_credits: whether the event has the credits of the account.
    :raises ValueError: there is no id.
    """

    job_ids: Annotated[list[str], parse_job_ids] = field(default_factory=list)
    first_poll_at: Annotated[float | None, parse_optional_moment] = None
    end_from_trigger: Annotated[bool, parse_flag] = False
    do_xcom_push: Annotated[bool, parse_flag] = True
    endpoint: Annotated[str, lambda value, _name: str(value)] = ""
    report_credits: Annotated[bool, parse_flag] = False

    def __post_init__(self) -> None:
        parse_job_ids(self.job_ids)


@functools.cache
def _parsers(parameters: Hashable) -> dict[str, Callable[[Any, str], Any]]:
    hints = get_type_hints(parameters, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}
