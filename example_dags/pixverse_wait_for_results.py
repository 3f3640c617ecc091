"""Wait for the results of the jobs that execute right now: the list operator's XCom feeds the job sensor."""

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_pixverse.operators.pixverse import PixverseListExecutingOperator
from airflow_pixverse.sensors.pixverse import PixverseJobSensor

with DAG(
    "pixverse_wait_for_results",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:
    executing = PixverseListExecutingOperator(task_id="list_executing")
    results = PixverseJobSensor.partial(
        task_id="wait_for_result",
        deferrable=True,
        poke_interval=timedelta(seconds=2),
        timeout=timedelta(hours=2),
    ).expand(job_id=executing.output)

    @task(trigger_rule="all_done")  # a job that failed does not keep the others from being shown
    def show(finished: list[dict[str, Any]]) -> list[str]:
        """Say where the results are; download them here instead."""
        return [f"{result['id']}: {result['url']}" for result in finished]

    show(results.output)
