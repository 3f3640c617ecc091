"""
Cancel the jobs that have been executing for long, so that their slots are free again.

How long that is, in seconds, is the parameter `older_than` of a run.

The API stops tracking them; PixVerse itself may go on. A job that ends before its turn comes is no error.
"""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.operators.pixverse import PixverseCancelOperator, PixverseListExecutingOperator

with DAG(
    "pixverse_cancel_stuck",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"older_than": 3600},
    tags=["pixverse"],
    doc_md=__doc__,
) as dag:
    stuck = PixverseListExecutingOperator(task_id="list_stuck", older_than="{{ params.older_than }}")
    PixverseCancelOperator.partial(task_id="cancel", retries=3, retry_delay=timedelta(seconds=10)).expand(
        job_id=stuck.output
    )
