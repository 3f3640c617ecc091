"""A prompt becomes a video: wait for a slot, submit, wait for the result, and return where it is."""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, task

from airflow_pixverse.operators.pixverse import PixverseSubmitOperator

with DAG(
    "pixverse_prompt_to_url",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"prompt": "a fox in the snow"},
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:
    video = PixverseSubmitOperator(
        task_id="make_video",
        payload={"model": "v5", "prompt": "{{ params.prompt }}", "duration": 5},
        deferrable=True,  # both waits are in the triggerer
        retries=3,  # never submits a second job
    )

    @task
    def url(result: dict[str, str]) -> str:
        """Return where the video is."""
        return result["url"]

    url(video.output)
