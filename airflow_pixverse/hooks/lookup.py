"""Look-up of a connection in Airflow, by a worker or a triggerer, with errors that say what to do."""

import importlib
import logging
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowNotFoundException,
    BaseHook,
    Connection,
)

from airflow_pixverse.api.errors import PixverseAccessError, PixverseTransientError
from airflow_pixverse.hooks.connection import connection_label
from airflow_pixverse.threads import run_in_own_thread

SECOND_LOOK_AFTER = 5.0
"""Seconds after which a worker looks up once more a connection that was not found."""

# Errors of the API server, the database and secrets backends when they are down, if installed.
_UNREACHABLE = (
    ("httpx", "HTTPError"),
    ("httpx2", "HTTPError"),  # from Airflow 3.4 on
    ("sqlalchemy.exc", "OperationalError"),
    ("sqlalchemy.exc", "InterfaceError"),
    ("sqlalchemy.exc", "TimeoutError"),
    ("airflow.sdk.exceptions", "AirflowRuntimeError"),
)

_MAX_CONN_ID = 250

_log = logging.getLogger(__name__)


class _NotFoundError(PixverseAccessError):
    """Airflow does not find a connection, or says so."""


def read_connection(
    conn_id: str, *, get_connection: Callable[[str], Connection] = BaseHook.get_connection
) -> Connection:
    """
    Return a connection. For a worker, since it blocks.

    A connection that is not found is looked up once more after ``SECOND_LOOK_AFTER`` seconds: Airflow says
    "not found" also when a secrets backend, the database or the API server does not answer for a moment.

    :param conn_id: id of the connection.
    :param get_connection: looks it up.
    :raises PixverseAccessError: it is not defined, or its definition cannot be read.
    :raises PixverseTransientError: Airflow or a secrets backend cannot be reached.
    """
    try:
        with _lookup_errors(conn_id):
            return get_connection(conn_id)
    except _NotFoundError as error:
        _log.warning("%s; looking once more in %g s", error, SECOND_LOOK_AFTER)
        time.sleep(SECOND_LOOK_AFTER)
    with _lookup_errors(conn_id):
        return get_connection(conn_id)


async def read_connection_async(conn_id: str) -> Connection:
    """
    Return a connection, looked up once, without blocking the event loop. For a triggerer.

    :param conn_id: id of the connection.
    :raises PixverseAccessError: it is not defined, or its definition cannot be read.
    :raises PixverseTransientError: Airflow or a secrets backend cannot be reached.
    """
    from airflow.providers.common.compat.connection import get_async_connection

    with _lookup_errors(conn_id):
        task_runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
        if _can_only_be_asked_synchronously(getattr(task_runner, "SUPERVISOR_COMMS", None)):
            look_up = partial(BaseHook.get_connection, conn_id)
            return await run_in_own_thread(look_up, name="pixverse-connection")
        return await get_async_connection(conn_id)


def _can_only_be_asked_synchronously(supervisor: Any) -> bool:
    """
    Return whether a supervisor knows no asynchronous look-up, as that of ``dag.test()`` up to Airflow 3.3.2.

    There a thread looks the connection up. In a real triggerer that would be wrong: a synchronous call waits
    for the same event loop that waits for the call.
    """
    return supervisor is not None and not hasattr(supervisor, "asend")


@contextmanager
def _lookup_errors(conn_id: str) -> Iterator[None]:
    """
    Turn Airflow's errors about a connection into errors that say what to do.

    They say "from None" and repeat no text: Airflow puts the whole URI into it, and so the token.
    """
    label = connection_label(conn_id)
    try:
        yield
    except AirflowNotFoundException:
        raise _NotFoundError(_not_found(conn_id)) from None
    except PermissionError:  # Airflow's API server denies it
        raise PixverseAccessError(f"{label} may not be read by this task: Airflow denies access") from None
    except _unreachable() as error:
        kind = _error_type(error)
        if kind == "CONNECTION_NOT_FOUND":
            raise _NotFoundError(_not_found(conn_id)) from None
        raise PixverseTransientError(
            f"{label} could not be read, since Airflow or a secrets backend does not answer ({kind})"
        ) from None
    except (AirflowException, ValueError, RecursionError) as error:
        raise PixverseAccessError(
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
    """Return the class of an error; for one of Airflow's supervisor, its name in Airflow."""
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
