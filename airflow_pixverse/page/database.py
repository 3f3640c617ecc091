"""The part of the page that comes from Airflow's database, read once in four seconds at most."""

import json
import math
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow.jobs.job import Job, JobState
from airflow.models.connection import Connection
from airflow.models.trigger import Trigger
from airflow.providers.common.compat.sdk import conf
from airflow.utils.session import create_session
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from airflow_pixverse.hooks.connection import CONN_TYPE
from airflow_pixverse.page.batches import read_batches
from airflow_pixverse.page.response import Batch, Wait
from airflow_pixverse.page.waiting import read_waits

READ_EVERY = 4.0
"""Seconds from one reading to the next."""

_VARIABLE = "AIRFLOW_CONN_"


@dataclass(frozen=True)
class DatabaseSnapshot:
    """
    The result of one reading.

    :param connections: sorted ids of all connections of type ``pixverse``.
    :param waits: by connection, the queue in its order, then the tasks that poll for themselves.
    :param batches: by connection, the running batches.
    :param triggerers: number of triggerers that are alive.
    :param triggers: number of triggers of all kinds, which share the places of the triggerers.
    """

    connections: list[str]
    waits: Mapping[str, list[Wait]]
    batches: Mapping[str, list[Batch]]
    triggerers: int
    triggers: int = 0


class DatabaseReader:
    """The last reading, shared by all requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = -math.inf
        self._snapshot = DatabaseSnapshot([], {}, {}, 0)

    def latest(self) -> DatabaseSnapshot:
        """Return the last reading, after a new one if it is due. This blocks."""
        with self._lock:
            if time.monotonic() - self._read_at >= READ_EVERY:
                with create_session(scoped=False) as session:
                    self._snapshot = DatabaseSnapshot(
                        _connection_ids(session),
                        read_waits(session),
                        read_batches(session),
                        *_count_triggerers(session),
                    )
                self._read_at = time.monotonic()
            return self._snapshot


def _connection_ids(session: Session) -> list[str]:
    """Return the ids of database and environment: no other secrets backend can list connections."""
    stored = session.scalars(select(Connection.conn_id).where(Connection.conn_type == CONN_TYPE))
    from_environment = (
        name.removeprefix(_VARIABLE).lower()
        for name, value in os.environ.items()
        if name.startswith(_VARIABLE) and _conn_type(value) == CONN_TYPE
    )
    return sorted({*stored, *from_environment})


def _conn_type(value: str) -> object:
    if not value.lstrip().startswith("{"):
        return value.partition("://")[0]
    try:
        return json.loads(value).get("conn_type")
    except ValueError:
        return None


def _count_triggerers(session: Session) -> tuple[int, int]:
    """
    Return the numbers of triggerers that are alive, and of triggers.

    A triggerer is alive by its heartbeat: the row of a trigger keeps the id of one that has died.
    """
    threshold = conf.getfloat("triggerer", "triggerer_health_check_threshold")
    triggers = select(func.count(Trigger.id)).scalar_subquery()
    alive = select(func.count(Job.id), triggers).where(
        Job.job_type == "TriggererJob",
        Job.state == JobState.RUNNING,
        Job.latest_heartbeat > datetime.now(UTC) - timedelta(seconds=threshold),
    )
    triggerers, waiting = session.execute(alive).one()
    return triggerers, waiting
