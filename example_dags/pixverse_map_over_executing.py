"""Do something for each job that has been executing for long: the operator's XCom feeds `expand`."""

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_pixverse.operators.pixverse import PixverseListExecutingOperator

with DAG(
    "pixverse_map_over_executing",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:
    stuck = PixverseListExecutingOperator(
        task_id="list_stuck_videos", job_types="video", older_than=timedelta(minutes=30)
    )

    @task
    def report(job: dict[str, Any]) -> str:
        """Say which job it is; alert somebody here instead."""
        return f"{job['id']} of {job['email']} has been executing since {job['started']}"

    report.expand(job=stuck.output)
