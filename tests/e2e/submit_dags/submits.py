"""Rows of a file, each submitted once. The configuration of the run names the file and the connection."""

import json
import time
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, BaseOperator

from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator

DEFAULTS = {
    "pixverse_conn_id": "{{ dag_run.conf['conn'] }}",
    "deferrable": True,
    "poke_interval": timedelta(seconds=1),
    "retries": 5,
    "retry_delay": timedelta(0),
}


class Rows(BaseOperator):
    """Returns what is in the file."""

    def execute(self, context):
        return json.loads(Path(context["dag_run"].conf["rows"]).read_text())


class AtTheBrink(PixverseSubmitOperator):
    """Has its first POST wait for ever: the mark is there, and nothing is sent."""

    template_fields = (*PixverseSubmitOperator.template_fields, "brink")

    def __init__(self, *, brink, **kwargs):
        super().__init__(**kwargs)
        self.brink = brink

    @cached_property
    def hook(self):
        return HookAtTheBrink(self.pixverse_conn_id, Path(self.brink))


class HookAtTheBrink(PixverseHook):
    def __init__(self, pixverse_conn_id, brink):
        super().__init__(pixverse_conn_id, max_retries=0)
        self.brink = brink

    def get_conn(self):
        client = super().get_conn()
        if not self.brink.exists():
            client.submit = self.wait_for_ever
        return client

    def wait_for_ever(self, *_):
        self.brink.touch()
        while True:
            time.sleep(1)


class LosesItsFirstTry(PixverseSubmitOperator):
    """Fails between the event of its trigger and its first line, as Airflow does it (#72716)."""

    def execute_complete(self, context, event=None):
        if context["ti"].try_number == 1:
            raise RuntimeError("this try has lost a hop")
        return super().execute_complete(context, event)


with DAG("submits", schedule=None, start_date=datetime(2026, 1, 1)):
    rows = Rows(task_id="rows")
    PixverseSubmitOperator.partial(task_id="make", **DEFAULTS).expand(payload=rows.output)

with DAG("submits_at_the_brink", schedule=None, start_date=datetime(2026, 1, 1)):
    AtTheBrink(
        task_id="make",
        payload={"prompt": "at the brink"},
        brink="{{ dag_run.conf['brink'] }}",
        **DEFAULTS,
    )

with DAG("submits_from_the_trigger", schedule=None, start_date=datetime(2026, 1, 1)):
    PixverseSubmitOperator(
        task_id="make",
        payload={"prompt": "{{ task.task_id }} for {{ run_id }}"},
        start_from_trigger=True,
        **(DEFAULTS | {"pixverse_conn_id": "calm"}),
    )

with DAG("mapped_submits_from_the_trigger", schedule=None, start_date=datetime(2026, 1, 1)):
    PixverseSubmitOperator.partial(
        task_id="make", start_from_trigger=True, **(DEFAULTS | {"lease": timedelta(minutes=10)})
    ).expand(payload=[{"prompt": f"{{{{ run_id }}}} and {number}"} for number in range(3)])

with DAG("submits_in_its_second_try", schedule=None, start_date=datetime(2026, 1, 1)):
    LosesItsFirstTry(
        task_id="make",
        payload={"prompt": "second try in {{ run_id }}"},
        lease=timedelta(hours=1),
        **(DEFAULTS | {"pixverse_conn_id": "calm"}),
    )

with DAG("submits_with_one_worker", schedule=None, start_date=datetime(2026, 1, 1)):
    PixverseSubmitOperator.partial(
        task_id="make",
        start_from_trigger=True,
        end_from_trigger=True,
        on_clear="submit",
        report_credits=False,
        **(DEFAULTS | {"pixverse_conn_id": "calm"}),
    ).expand(payload=[{"prompt": f"{{{{ run_id }}}} and {number}"} for number in range(3)])

with DAG("submits_without_xcom", schedule=None, start_date=datetime(2026, 1, 1)):
    # So that nothing is left to do for the worker but to tell Airflow of the success.
    PixverseSubmitOperator(task_id="make", payload={"prompt": "not reported"}, do_xcom_push=False, **DEFAULTS)
