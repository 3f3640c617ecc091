"""
A table of 60 prompts on five slots as one batch, without Airflow's scheduler around it, against the ideal.

The ideal is that no slot is ever free between the first submit and the last job's end. The batch runs in a
process of its own, so that its CPU time can be told from the simulator's. `make bench-peers` has it in a real
Airflow, beside other ways.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

from airflow_pixverse.simulator import Simulator

TOKEN = "user:1-bench"  # noqa: S105
ACCOUNTS = {"a@example.com": 3, "b@example.com": 2}
PROMPTS, SECONDS, POKE_INTERVAL = 60, 20, 5.0
IDEAL = PROMPTS / sum(ACCOUNTS.values()) * SECONDS
GOAL_TIME, GOAL_CPU = 1.08, 0.1


def main() -> None:
    """Print the figures."""
    print(
        f"{PROMPTS} prompts of {SECONDS} s on {sum(ACCOUNTS.values())} slots, poke_interval={POKE_INTERVAL:g}"
    )
    print(f"  {_batch()}")
    print(f"  goals: {GOAL_TIME} of the ideal, {GOAL_CPU} CPU-seconds a row")


def _batch() -> str:
    with (
        Simulator(ACCOUNTS, token=TOKEN, job_seconds=(SECONDS, SECONDS)) as sim,
        tempfile.TemporaryDirectory() as home,
    ):
        env = os.environ | {
            "AIRFLOW_HOME": home,
            "AIRFLOW_CONN_PIXVERSE_DEFAULT": json.dumps(sim.connection),
        }
        command = [sys.executable, "-m", "benchmarks.table", f"file://{home}/table"]
        printed = subprocess.check_output(command, env=env, text=True, stderr=subprocess.DEVNULL)
        seconds, cpu = json.loads(printed.splitlines()[-1])
        calls = sum(not one.path.startswith("/media/") for one in sim.requests)
    return (
        f"{seconds / IDEAL:.2f} of the ideal, {cpu / PROMPTS:.3f} CPU-seconds a row (imports included), "
        f"{calls / PROMPTS:.1f} calls a row"
    )


def _make_table(folder: str) -> None:
    """Run the batch in this process, and print its seconds and its CPU-seconds."""
    from airflow_pixverse.batch.room import Limits
    from airflow_pixverse.batch.rows import RowPlan
    from airflow_pixverse.batch.run import BatchParameters, BatchRun
    from airflow_pixverse.journal import TaskTry

    parameters = BatchParameters(
        table=[{"prompt": f"prompt {number}"} for number in range(PROMPTS)],
        plan=RowPlan(payload=dict, endpoint="videos/create"),
        folder=folder,
        pixverse_conn_id="pixverse_default",
        limits=Limits(),
        max_bytes=1_000_000,
        max_credits=None,
        min_credits=None,
        poke_interval=POKE_INTERVAL,
        completion_timeout=3600.0,
        remake=frozenset(),
        fail_on="any",
        manifest="table.csv",
    )
    began = time.monotonic()
    BatchRun(parameters, TaskTry("bench", "run", "table", -1, 1, 0), lambda _key, _value: None).run()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([time.monotonic() - began, used.ru_utime + used.ru_stime]))


if __name__ == "__main__":
    _make_table(sys.argv[1])
