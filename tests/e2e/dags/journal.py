"""Tasks that note a submission, and whose first try is killed, or fails and is cleared later."""

import os
import signal
from dataclasses import asdict
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, BaseOperator

from airflow_pixverse.journal import SubmitRecord, add_drop_callback, journal_of


class Submit(BaseOperator):
    """Returns the records it finds, and its own."""

    def __init__(self, *, is_killed=False, item=None, **kwargs):
        super().__init__(**kwargs)
        self.is_killed, self.item = is_killed, item
        add_drop_callback(self)

    def execute(self, context):
        ti, store = context["ti"], journal_of(context)
        found = store.read_all()
        store.check_still_running()
        store.write(
            SubmitRecord(
                state="sending",
                reference=f"airflow:{ti.task_id}/{ti.map_index}#{ti.try_number}",
                fingerprint="f00d",
                endpoint="videos/create",
                max_tries=ti.max_tries,
                try_number=ti.try_number,
                sent_at="2026-01-01T00:00:00+00:00",
            )
        )
        if ti.try_number == 1:
            if self.is_killed:
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("the answer was lost")
        return {"before": [asdict(record) for record in found], "after": len(store.read_all())}


with DAG("records_retried", schedule=None, start_date=datetime(2026, 1, 1)):
    retry = {"is_killed": True, "retries": 1, "retry_delay": timedelta(0)}
    Submit(task_id="submit", **retry)
    Submit.partial(task_id="mapped", **retry).expand(item=["a", "b"])

with DAG("records_cleared", schedule=None, start_date=datetime(2026, 1, 1)):
    Submit(task_id="submit", retries=0)
