"""Wait for a free PixVerse slot, then list what executes. The sensor returns the accounts that have room."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.operators.pixverse import PixverseListExecutingOperator
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor

with DAG(
    "pixverse_wait_then_list",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:
    wait = PixverseCapacitySensor(
        task_id="wait_for_slot",
        poke_interval=timedelta(seconds=2),
        timeout=timedelta(hours=1),
    )
    wait >> PixverseListExecutingOperator(task_id="list_executing")
