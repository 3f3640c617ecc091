"""XComs that the triggerer pushes, in the hands of tasks downstream."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_pixverse.sensors.pixverse import PixverseCapacitySensor

with DAG("downstream", schedule=None, start_date=datetime(2026, 1, 1)):
    wait = PixverseCapacitySensor(
        task_id="wait",
        start_from_trigger=True,
        end_from_trigger=True,
        poke_interval=timedelta(seconds=1),
        timeout=timedelta(minutes=5),
        lease=timedelta(seconds=1),  # no lease is left for the next test
    )

    @task
    def use(accounts):
        """Take the first account."""
        return accounts[0]["email"]

    use(wait.output)

    if AIRFLOW_V_3_0_PLUS:  # Airflow 2 maps over nothing that a trigger pushed

        @task
        def use_each(account):
            """Take one account."""
            return account["email"]

        use_each.expand(account=wait.output)
