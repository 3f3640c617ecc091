"""One deferred wait."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor

with DAG("one_wait", schedule=None, start_date=datetime(2026, 1, 1)):
    PixverseCapacitySensor(
        task_id="wait",
        deferrable=True,
        poke_interval=timedelta(seconds=1),
        timeout=timedelta(hours=1),
        lease=timedelta(seconds=1),  # no lease is left for the next test
    )
