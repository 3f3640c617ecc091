"""Waits that end badly, one a task, all deferred. Each may be retried once: which end is final shows."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor

for dag_id, how in (
    ("outcomes", {"deferrable": True}),
    ("outcomes_from_trigger", {"start_from_trigger": True, "end_from_trigger": True}),
):
    with DAG(
        dag_id,
        schedule=None,
        start_date=datetime(2026, 1, 1),
        default_args={
            **how,
            "poke_interval": 1,
            "timeout": timedelta(hours=1),
            "retries": 1,
            "retry_delay": timedelta(0),
        },
    ):
        for name, flags in {
            "": {},
            "_soft_fail": {"soft_fail": True},
            "_never_fail": {"never_fail": True},
        }.items():
            PixverseCapacitySensor(task_id=f"bad_token{name}", pixverse_conn_id="pixverse_bad_token", **flags)
            PixverseCapacitySensor(
                task_id=f"timeout{name}",
                pixverse_conn_id="pixverse_full",
                **flags,
                timeout=timedelta(seconds=2),
            )
            PixverseCapacitySensor(
                task_id=f"execution_timeout{name}",
                pixverse_conn_id="pixverse_full",
                **flags,
                execution_timeout=timedelta(seconds=4),
            )
