"""A prompt that moderation refuses, or whose video it refuses, is replaced by a tamer one."""

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_pixverse.operators.submit import PixverseSubmitOperator

with DAG(
    "pixverse_moderated",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"prompt": "a battle of dragons", "instead": "two dragons play"},
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:
    first = PixverseSubmitOperator(
        task_id="make_video", payload={"prompt": "{{ params.prompt }}"}, deferrable=True
    )
    instead = PixverseSubmitOperator(
        task_id="make_another",
        payload={"prompt": "{{ params.instead }}"},
        deferrable=True,
        trigger_rule="one_failed",  # skipped if the first was made
    )

    @task(trigger_rule="one_success")
    def show(ti: Any) -> str:
        """Return where the video is, whichever was made."""
        made = [ti.xcom_pull(task_ids=name) for name in ("make_video", "make_another")]
        url: str = next(result["url"] for result in made if result)
        return url

    first >> instead
    [first, instead] >> show()
