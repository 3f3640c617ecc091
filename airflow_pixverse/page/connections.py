"""Which connections the page can be about: those of type ``pixverse`` that can be listed cheaply."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from airflow.models.connection import Connection
from sqlalchemy import select

from airflow_pixverse.hooks.connection import CONN_TYPE

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_VARIABLE = "AIRFLOW_CONN_"


def connection_ids(session: Session, environment: Mapping[str, str]) -> list[str]:
    """
    Return the ids of the connections in Airflow's database and in environment variables, sorted.

    Those of other secrets backends are not among them: a backend can be asked for a connection, but not for a
    list of them.
    """
    stored = session.scalars(select(Connection.conn_id).where(Connection.conn_type == CONN_TYPE))
    return sorted({*stored, *_in_environment(environment)})


def _in_environment(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if name.startswith(_VARIABLE) and _type_of(value) == CONN_TYPE:
            yield name.removeprefix(_VARIABLE).lower()


def _type_of(value: str) -> str | None:
    if not value.lstrip().startswith("{"):
        return value.partition("://")[0]
    try:
        conn_type = json.loads(value).get("conn_type")
    except ValueError:
        return None
    return conn_type if isinstance(conn_type, str) else None
