"""Waits that are mapped, one DAG run of them."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor

for name, size in (("ten_waits", 10), ("forty_waits", 40)):
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1)):
        PixverseCapacitySensor.partial(
            task_id="wait",
            deferrable=True,
            poke_interval=timedelta(seconds=1),
            timeout=timedelta(hours=1),
            lease=timedelta(seconds=1),
        ).expand(slots=[1] * size)
