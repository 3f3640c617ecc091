"""
Do something for each job that has been executing for long: the operator's XCom feeds `expand`.

How long that is, in seconds, is the parameter `older_than` of a run.
"""

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_pixverse.operators.pixverse import PixverseListExecutingOperator

with DAG(
    "pixverse_map_over_executing",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"older_than": 1800},
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:
    stuck = PixverseListExecutingOperator(
        task_id="list_stuck_videos", job_types="video", older_than="{{ params.older_than }}"
    )

    @task
    def report(job: dict[str, Any]) -> str:
        """Say which job it is; alert your team here instead."""
        return f"{job['id']} of {job['email']} has been executing since {job['started']}"

    report.expand(job=stuck.output)
