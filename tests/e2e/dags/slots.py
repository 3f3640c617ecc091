"""Submits that have to do with a slot what only a real Airflow shows."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.operators.pixverse import PixverseSubmitOperator

DEFAULTS = {
    "pixverse_conn_id": "pixverse_few_slots",
    "deferrable": True,
    "poke_interval": timedelta(seconds=1),
}

with DAG("late_worker", schedule=None, start_date=datetime(2026, 1, 1)):
    # No worker starts in so short a time.
    lease = timedelta(milliseconds=1)
    PixverseSubmitOperator(task_id="make", payload={"prompt": "late"}, lease=lease, **DEFAULTS)

with DAG("not_waited_for", schedule=None, start_date=datetime(2026, 1, 1)):
    PixverseSubmitOperator.partial(
        task_id="make", wait_for_completion=False, lease=timedelta(hours=1), **DEFAULTS
    ).expand(payload=[{"prompt": f"off peak {number}", "off_peak_mode": True} for number in range(4)])

with DAG("fetched_by_a_retry", schedule=None, start_date=datetime(2026, 1, 1)):
    PixverseSubmitOperator(
        task_id="make",
        payload={"prompt": "fetched"},
        start_from_trigger=True,
        completion_timeout=timedelta(seconds=1),
        retries=100,
        retry_delay=timedelta(0),
        **DEFAULTS,
    )
