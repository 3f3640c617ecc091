"""Run a DAG whenever slots become free, without any task that waits: event-driven scheduling."""

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_pixverse.triggers.pixverse import PixverseCapacityEventTrigger

if AIRFLOW_V_3_0_PLUS:  # Airflow 2 has no asset watchers
    from airflow.sdk import DAG, Asset, AssetWatcher, task

    room = Asset(
        "pixverse_room",
        watchers=[
            AssetWatcher(name="two_slots", trigger=PixverseCapacityEventTrigger(slots=2, poke_interval=15))
        ],
    )

    with DAG(
        "pixverse_on_capacity",
        schedule=room,
        start_date=datetime(2026, 1, 1),
        tags=["pixverse"],
        doc_md=__doc__,
    ) as dag:

        @task
        def use_room(triggering_asset_events: dict[Asset, list[Any]]) -> list[dict[str, Any]]:
            """Submit jobs to the accounts that have room here."""
            accounts: list[dict[str, Any]] = triggering_asset_events[room][-1].extra["payload"]["accounts"]
            return accounts

        use_room()
