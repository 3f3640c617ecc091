"""
A video that moderation refuses is made again with another seed, twice at most.

Nothing else is tried again here. A prompt that is refused at once is not paid for, and no seed helps it. And
where it is unknown whether a job was accepted, another one might be paid for twice.
"""

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, task

with DAG(
    "pixverse_moderated",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"prompt": "a battle of dragons"},
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:

    @task.pixverse(deferrable=True, retries=3, trigger_rule="one_failed")  # or the first
    def make(params: dict[str, Any], ti: Any, before: str | None = None) -> dict[str, Any]:
        """Return what to submit. Its seed is random, since it has none of its own."""
        if before and (ti.xcom_pull(before, key="failure") or {}).get("status") != "moderated":
            raise AirflowSkipException(f"the job of {before} was not moderated")
        return {"model": "v5", "prompt": params["prompt"], "duration": 5}

    @task(trigger_rule="one_success")
    def show(ti: Any) -> str:
        """Return where the video is, whichever was made."""
        made = [ti.xcom_pull(name) for name in ("make_first", "make_second", "make_third")]
        return str(next(result["url"] for result in made if result))

    first = make.override(task_id="make_first")()
    second = make.override(task_id="make_second")(before="make_first")
    third = make.override(task_id="make_third")(before="make_second")
    first >> second >> third
    [first, second, third] >> show()
