"""
Review before you pay: a draft in the cheapest quality, a person who approves it, and then its upscale.

The person decides under "Required Actions" in Airflow's UI. A day without an answer counts as "Reject".
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_1_PLUS

from airflow_pixverse.operators.pixverse import PixverseSubmitOperator

if AIRFLOW_V_3_1_PLUS:  # earlier ones ask no person
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    with DAG(
        "pixverse_review",
        schedule=None,
        start_date=datetime(2026, 1, 1),
        params={"prompt": "a fox in the snow"},
        default_args={"deferrable": True, "retries": 3},
        tags=["pixverse"],
        doc_md=__doc__,
    ) as dag:
        payload = {"model": "v5", "prompt": "{{ params.prompt }}", "duration": 5, "quality": "360p"}
        draft = PixverseSubmitOperator(task_id="make_draft", payload=payload)
        approve = ApprovalOperator(
            task_id="approve",
            subject="Upscale this video?",
            body="[The draft]({{ ti.xcom_pull('make_draft')['url'] }})",
            defaults="Reject",
            response_timeout=timedelta(days=1),
        )
        payload = {"video_id": "{{ ti.xcom_pull('make_draft')['id'] }}"}
        upscale = PixverseSubmitOperator(task_id="upscale", endpoint="videos/upscale", payload=payload)
        draft >> approve >> upscale
