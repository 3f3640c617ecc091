"""Two DAGs with a table as one task. The configuration of a run names the folder, which holds the table."""

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_pixverse.operators.pixverse import PixverseBatchOperator

for dag_id in ("makes_a_table_in_a_bucket", "makes_the_same_table"):
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1)):
        PixverseBatchOperator(
            task_id="campaign",
            pixverse_conn_id="pixverse_tables",
            rows="{{ dag_run.conf['folder'] }}rows.jsonl",
            payload={"prompt": "{prompt}"},
            folder="{{ dag_run.conf['folder'] }}",
            poke_interval=1,
            retries=50,
            retry_delay=timedelta(0),
        )
