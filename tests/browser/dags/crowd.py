"""Many tasks that wait for the slots of a full service, as many as can begin without a worker."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.capabilities import CAN_START_FROM_TRIGGER
from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor

SIZE = 200 if CAN_START_FROM_TRIGGER else 6

with DAG("crowd", schedule=None, start_date=datetime(2026, 1, 1)):
    for number in range(SIZE):
        PixverseCapacitySensor(
            task_id=f"wait_{number:03}",
            pixverse_conn_id="pixverse_crowd",
            slots=1 + number % 2,
            poke_interval=timedelta(seconds=30),
            timeout=timedelta(hours=1),
            deferrable=True,
            start_from_trigger=CAN_START_FROM_TRIGGER,
        )
