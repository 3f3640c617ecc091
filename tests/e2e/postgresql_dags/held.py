"""
Tasks that run until a file is there, which the configuration of the run names, with retries.

Each makes a file beside it when it begins.
"""

import time
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, BaseOperator


class Hold(BaseOperator):
    """Returns its index and the number of its try, once the file is there."""

    def __init__(self, *, index, **kwargs):
        super().__init__(**kwargs)
        self.index = index

    def execute(self, context):
        until = Path(context["dag_run"].conf["until"])
        until.with_name(f"held-{self.index}").touch()
        while not until.exists():
            time.sleep(0.1)
        return [self.index, context["ti"].try_number]


with DAG("held", schedule=None, start_date=datetime(2026, 1, 1)):
    Hold.partial(task_id="hold", retries=5, retry_delay=timedelta(0)).expand(index=[0, 1, 2])
