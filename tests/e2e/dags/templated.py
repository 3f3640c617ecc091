"""A wait that begins in the triggerer, and whose parameters the triggerer has to render."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor

ALWAYS_THERE = ("dag_run", "macros", "params", "run_id", "task_instance_key_str")

with DAG("templated", schedule=None, start_date=datetime(2026, 1, 1), params={"slots": 2}):
    known = " and ".join(f"{name} is defined" for name in ALWAYS_THERE)
    PixverseCapacitySensor(
        task_id="wait",
        pixverse_conn_id="pixverse_apart",
        slots="{{ params.slots }}",
        emails=["{% if " + known + " %}{{ dag_run.conf['email'] | lower }}{% endif %}"],
        start_from_trigger=True,
        poke_interval=timedelta(seconds=1),
        timeout=timedelta(minutes=5),
    )
