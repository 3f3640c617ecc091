"""A table as one task. The configuration of the run names table and folder."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.operators.pixverse import PixverseBatchOperator

with DAG("makes_a_table", schedule=None, start_date=datetime(2026, 1, 1)):
    PixverseBatchOperator(
        task_id="campaign",
        pixverse_conn_id="quick",
        rows="{{ dag_run.conf['rows'] }}",
        payload={"prompt": "{prompt}"},
        folder="{{ dag_run.conf['folder'] }}",
        poke_interval=1,
        retries=50,
        retry_delay=timedelta(0),
    )
