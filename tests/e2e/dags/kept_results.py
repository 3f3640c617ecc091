"""A video whose first picture is in a bucket, and which is kept there. The run says which bucket."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.operators.pixverse import PixverseSubmitOperator

with DAG("keeps_results", schedule=None, start_date=datetime(2026, 1, 1)):
    PixverseSubmitOperator(
        task_id="make",
        pixverse_conn_id="pixverse_kept",
        payload={"prompt": "{{ run_id }}", "first_frame_path": "{{ dag_run.conf['picture'] }}"},
        output_path="{{ dag_run.conf['folder'] }}",
        file_name="fox.{ext}",
        deferrable=True,
        poke_interval=1,
        retries=2,
        retry_delay=timedelta(0),
    )
