"""A dozen prompts every two minutes, more than there are slots: something to see on the capacity page."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.operators.pixverse import PixverseSubmitOperator

PLACES = ("in the snow", "at night", "on a roof", "by the sea")
PROMPTS = [f"{animal} {place}" for animal in ("a fox", "an owl", "a cat") for place in PLACES]

with DAG(
    "pixverse_busy",
    schedule=timedelta(minutes=2),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["pixverse"],
    doc_md=__doc__,
):
    PixverseSubmitOperator.partial(
        task_id="make_video",
        poke_interval=timedelta(seconds=2),
        deferrable=True,
        retries=3,
    ).expand(payload=[{"model": "v5", "prompt": prompt, "duration": 5} for prompt in PROMPTS])
