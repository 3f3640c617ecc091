"""As many prompts as the configuration of the run says."""

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

with DAG("submits", schedule=None, start_date=datetime(2026, 1, 1)):

    @task
    def numbers(dag_run: Any = None) -> list[int]:
        """Return a number for each prompt."""
        return list(range(dag_run.conf["count"]))

    @task.pixverse(
        pixverse_conn_id="{{ dag_run.conf['conn'] }}",
        deferrable=True,
        poke_interval=timedelta(seconds=5),
        retries=3,
        retry_delay=timedelta(0),
    )
    def make(number: int) -> dict[str, str]:
        """Return what to submit."""
        return {"prompt": f"prompt {number}"}

    make.expand(number=numbers())
