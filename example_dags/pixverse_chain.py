"""A video in three steps, each made of the one before: create, extend, upscale."""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.operators.pixverse import PixverseSubmitOperator

with DAG(
    "pixverse_chain",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"prompt": "a fox in the snow", "then": "it finds a den"},
    default_args={"deferrable": True, "retries": 3},  # no retry pays again, and no step before it does
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:
    create = PixverseSubmitOperator(
        task_id="create", payload={"model": "v5", "prompt": "{{ params.prompt }}", "duration": 5}
    )
    extend = PixverseSubmitOperator(
        task_id="extend",
        endpoint="videos/extend",
        emails="{{ ti.xcom_pull('create')['email'] }}",  # whose video it is
        payload={
            "model": "v5",
            "prompt": "{{ params.then }}",
            "video_id": "{{ ti.xcom_pull('create')['id'] }}",
        },
    )
    upscale = PixverseSubmitOperator(
        task_id="upscale",
        endpoint="videos/upscale",
        payload={"video_id": "{{ ti.xcom_pull('extend')['id'] }}"},
    )
    create >> extend >> upscale
