"""The same wait twice: with the sensor of the http provider rescheduled, and with ours in the triggerer."""

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG

from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor

INTERVAL, TIMEOUT = timedelta(seconds=30), timedelta(hours=1)


def has_room(response: Any) -> bool:
    """Return whether any account has a free slot."""
    return any(account["available"] > 0 for account in response.json()["available"])


with DAG("yardstick", schedule=None, start_date=datetime(2026, 1, 1)):
    for number in range(10):
        HttpSensor(
            task_id=f"wait_{number}",
            http_conn_id="yardstick",
            endpoint="v2/pixverse/scheduler/available",
            response_check=has_room,
            mode="reschedule",
            poke_interval=INTERVAL,
            timeout=TIMEOUT,
        )

with DAG("ours", schedule=None, start_date=datetime(2026, 1, 1)):
    for number in range(100):
        PixverseCapacitySensor(
            task_id=f"wait_{number}",
            start_from_trigger=True,
            end_from_trigger=True,
            poke_interval=INTERVAL,
            timeout=TIMEOUT,
        )
