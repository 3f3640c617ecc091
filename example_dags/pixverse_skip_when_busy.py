"""
Wait without a worker, and skip the rest when no slot becomes free in time.

`soft_fail` skips on `timeout` only: a bad token still fails, so that a person notices.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.operators.pixverse import PixverseListExecutingOperator
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor

with DAG(
    "pixverse_skip_when_busy",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:
    wait = PixverseCapacitySensor(
        task_id="wait_for_two_slots",
        slots=2,
        deferrable=True,
        soft_fail=True,
        poke_interval=timedelta(seconds=2),
        timeout=timedelta(seconds=10),
    )
    wait >> PixverseListExecutingOperator(task_id="list_executing")
