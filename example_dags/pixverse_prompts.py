"""A table of prompts: each row becomes a video, and a report says what became of each."""

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

ROWS = [
    {"title": "fox", "prompt": "a fox in the snow"},
    {"title": "owl", "prompt": "an owl at night"},
    {"title": "cat", "prompt": "a cat on a roof"},
]

with DAG(
    "pixverse_prompts",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"rows": ROWS},
    render_template_as_native_obj=True,
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:

    @task
    def rows(params: dict[str, Any]) -> list[dict[str, str]]:
        """Read the table; from a bucket, say."""
        return list(params["rows"])

    @task.pixverse(deferrable=True, poke_interval=timedelta(seconds=5), retries=3)
    def make(row: dict[str, str]) -> dict[str, Any]:
        """Return what to submit for a row."""
        return {"model": "v5", "prompt": row["prompt"], "duration": 5}

    @task(trigger_rule="all_done")  # one bad row fails itself only
    def report(table: list[dict[str, str]], ti: Any) -> list[str]:
        """Say what became of each row, also of those that failed."""
        lines = []
        for index, row in enumerate(table):
            result = ti.xcom_pull(task_ids="make", key="result", map_indexes=index)
            failure = ti.xcom_pull(task_ids="make", key="failure", map_indexes=index)
            if result is not None:
                what = result["url"] or result["state"]
            else:  # a worker that was killed leaves no XCom
                what = "unknown" if failure is None else failure["status"]
            lines.append(f"{row['title']}: {what}")
        return lines

    table = rows()
    make.expand(row=table) >> report(table)
