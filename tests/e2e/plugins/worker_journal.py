"""A line in ``$AIRFLOW_HOME/worker_journal.jsonl`` each time that a worker runs a task instance."""

import json
import os
import sys
from pathlib import Path

from airflow.plugins_manager import AirflowPlugin
from pluggy import HookimplMarker


@HookimplMarker("airflow")
def on_task_instance_running(previous_state, task_instance):
    line = {
        **{name: getattr(task_instance, name) for name in ("dag_id", "run_id", "task_id", "map_index")},
        "pid": os.getpid(),
    }
    with Path(os.environ["AIRFLOW_HOME"], "worker_journal.jsonl").open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(line) + "\n")  # one short write, so that lines of several workers do not mix


class WorkerJournal(AirflowPlugin):
    name = "worker_journal"
    listeners = (sys.modules[__name__],)
