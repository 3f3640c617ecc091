"""Many waits of one connection. Leases last longer than a test takes, unless a job shows up."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor

WITHOUT_A_WORKER = {"start_from_trigger": True, "end_from_trigger": True}

for name, size, interval, how in (
    ("crowd", 200, 4, WITHOUT_A_WORKER),
    ("interrupted_crowd", 50, 1, WITHOUT_A_WORKER),
    ("deferred_crowd", 12, 1, {"deferrable": True}),
):
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1)):
        for number in range(size):
            PixverseCapacitySensor(
                task_id=f"wait_{number}",
                pixverse_conn_id=f"pixverse_{name}",
                poke_interval=timedelta(seconds=interval),
                timeout=timedelta(hours=1),
                lease=timedelta(minutes=10),
                **how,
            )
