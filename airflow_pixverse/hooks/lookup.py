"""Read a connection from Airflow, on a worker and in a triggerer, and say what is wrong if that fails."""

from __future__ import annotations

import importlib
import logging
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException, BaseHook

from airflow_pixverse.api.errors import PixverseFatalError, PixverseTransientError
from airflow_pixverse.hooks.connection import connection_label
from airflow_pixverse.threads import run_in_own_thread

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

SECOND_LOOK_AFTER = 5.0
"""Seconds after which a worker looks once more for a connection that was not found."""

# What the ways to a connection raise when they are down, as far as they are installed.
_UNREACHABLE = (
    ("httpx", "HTTPError"),
    ("sqlalchemy.exc", "OperationalError"),
    ("sqlalchemy.exc", "InterfaceError"),
    ("sqlalchemy.exc", "TimeoutError"),
    ("airflow.sdk.exceptions", "AirflowRuntimeError"),
)

_MAX_CONN_ID = 250

_log = logging.getLogger(__name__)


class _NotFoundError(PixverseFatalError):
    """Airflow does not find a connection, or says so."""


def read_connection(
    conn_id: str, *, get_connection: Callable[[str], Connection] = BaseHook.get_connection
) -> Connection:
    """
    Return a connection. For a worker, since it blocks.

    A connection that is not found is looked for once more after ``SECOND_LOOK_AFTER`` seconds: Airflow says
    "not found" also when a secrets backend, the database or the API server does not answer for a moment.

    :param conn_id: id of the connection.
    :param get_connection: what looks it up.
    :raises PixverseFatalError: it is not defined, or its definition cannot be read.
    :raises PixverseTransientError: what should know it cannot be reached.
    """
    try:
        with _explaining(conn_id):
            return get_connection(conn_id)
    except _NotFoundError as error:
        _log.warning("%s; looking once more in %g s", error, SECOND_LOOK_AFTER)
        time.sleep(SECOND_LOOK_AFTER)
    with _explaining(conn_id):
        return get_connection(conn_id)


async def read_connection_async(conn_id: str) -> Connection:
    """
    Return a connection, looked for once, without blocking the event loop. For a triggerer.

    :param conn_id: id of the connection.
    :raises PixverseFatalError: it is not defined, or its definition cannot be read.
    :raises PixverseTransientError: what should know it cannot be reached.
    """
    from airflow.providers.common.compat.connection import get_async_connection

    with _explaining(conn_id):
        if _can_only_be_asked_synchronously(_supervisor()):
            look_up = partial(BaseHook.get_connection, conn_id)
            return await run_in_own_thread(look_up, name="pixverse-connection")
        return await get_async_connection(conn_id)


def _supervisor() -> Any:
    """Return how this process talks to Airflow's supervisor; None where it has none."""
    task_runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    return getattr(task_runner, "SUPERVISOR_COMMS", None)


def _can_only_be_asked_synchronously(supervisor: Any) -> bool:
    """
    Return whether a supervisor knows no asynchronous look-up, as that of ``dag.test()`` up to Airflow 3.3.2.

    There the look-up is asked for in a thread. In a real triggerer that would be wrong: a synchronous call
    waits for the very event loop that waits for it.
    """
    return supervisor is not None and not hasattr(supervisor, "asend")


@contextmanager
def _explaining(conn_id: str) -> Iterator[None]:
    """
    Turn what Airflow raises for a connection into an error that says what to do.

    "from None" and no words of the error: Airflow puts the whole URI into it, and so the token.
    """
    label = connection_label(conn_id)
    try:
        yield
    except AirflowNotFoundException:
        raise _NotFoundError(_not_found(conn_id)) from None
    except PermissionError:  # Airflow's API server denies it
        raise PixverseFatalError(f"{label} may not be read by this task: Airflow denies access") from None
    except _unreachable() as error:
        kind = _error_type(error)
        if kind == "CONNECTION_NOT_FOUND":
            raise _NotFoundError(_not_found(conn_id)) from None
        raise PixverseTransientError(
            f"{label} could not be read, since Airflow or a secrets backend does not answer ({kind})"
        ) from None
    except (AirflowException, ValueError, RecursionError) as error:
        raise PixverseFatalError(
            f"{label} cannot be read ({type(error).__name__}): check its JSON or URI; "
            "in a URI the token must be percent-encoded"
        ) from None


def _unreachable() -> tuple[type[Exception], ...]:
    errors: list[type[Exception]] = [OSError]
    for module, name in _UNREACHABLE:
        with suppress(ImportError, AttributeError):
            errors.append(getattr(importlib.import_module(module), name))
    return tuple(errors)


def _error_type(error: Exception) -> str:
    """Return what kind of error it is; for one of Airflow's supervisor as Airflow names it."""
    named = getattr(getattr(error, "error", None), "error", None)
    return str(getattr(named, "value", type(error).__name__))


def _not_found(conn_id: str) -> str:
    label = connection_label(conn_id)
    if not conn_id.isprintable() or len(conn_id) > _MAX_CONN_ID:
        return f"{label} is not defined, and its id is not one that Airflow would take"
    return (
        f"{label} is not defined, or its definition cannot be read: "
        "create it under Admin > Connections, "
        f"with `airflow connections add {shlex.quote(conn_id)} --conn-type pixverse "
        "--conn-password <API token>`, "
        f"or in the environment variable AIRFLOW_CONN_{conn_id.upper()}"
    )
