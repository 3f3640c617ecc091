"""Asset events as they are in the database, whichever version of Airflow has stored them."""

from __future__ import annotations

import json
from typing import Any

from airflow.serialization.serialized_objects import SerializedDAG
from airflow.utils.session import create_session
from packaging.version import Version
from sqlalchemy import text

from tests.helpers.dag_runs import AIRFLOW

_ASSET = "asset" if AIRFLOW >= Version("3") else "dataset"


def register(dag: Any) -> None:
    """Write the assets of a DAG to the database, which ``run`` does from Airflow 3.1 on."""
    if AIRFLOW >= Version("3.1"):
        return
    where: list[Any] = []
    with create_session() as session:
        if AIRFLOW >= Version("3"):
            from airflow.models.dagbundle import DagBundleModel

            session.merge(DagBundleModel(name="tests"))
            session.flush()
            where = ["tests", None]
        written: Any = SerializedDAG
        written.bulk_write_to_db(*where, [written.from_dict(written.to_dict(dag))], session=session)


def asset_events(uri: str) -> list[dict[str, Any]]:
    """Return the extras of an asset's events, oldest first."""
    query = (
        f"SELECT event.extra FROM {_ASSET}_event event JOIN {_ASSET} ON {_ASSET}.id = event.{_ASSET}_id "
        f"WHERE {_ASSET}.uri = :uri ORDER BY event.id"
    )
    with create_session() as session:
        extras = session.execute(text(query), {"uri": uri}).scalars().all()
    return [extra if isinstance(extra, dict) else json.loads(extra) for extra in extras]
