"""A DAG waits for a free slot of the simulator, then lists what executes; `make demo` runs this."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from airflow_pixverse.simulator import Simulator

EXAMPLE_DAGS = Path(__file__).resolve().parent.parent / "example_dags"
BUSY_SECONDS = 6.0


def main() -> int:
    """Run the demo, and return the exit code."""
    with tempfile.TemporaryDirectory(prefix="airflow-pixverse-demo-") as home:
        _stop_at_ctrl_c(home)
        _configure_airflow(Path(home))
        say("Importing Airflow, and setting up a database for it; this usually takes 15 to 30 seconds ...")
        from airflow.utils.db import initdb

        initdb()
        with Simulator({"studio@example.com": 3, "team-2@example.com": 2}) as sim:
            os.environ["AIRFLOW_CONN_PIXVERSE_DEFAULT"] = json.dumps(sim.connection)
            jobs = _fill(sim)
            threading.Thread(target=_say_requests, args=(sim,), daemon=True).start()
            threading.Thread(target=_end_later, args=(sim, [jobs[0], jobs[-1]]), daemon=True).start()
            return _run_example()


def _stop_at_ctrl_c(home: str) -> None:
    """End the process at once: Airflow takes the KeyboardInterrupt for the failure of the task."""

    def stop(_signal: int, _frame: object) -> None:
        say("\nStopping ...")
        shutil.rmtree(home, ignore_errors=True)
        os._exit(130)

    signal.signal(signal.SIGINT, stop)


def _configure_airflow(home: Path) -> None:
    # Airflow reads these when it is imported, which is why it is imported only after this.
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        del os.environ[name]
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLE_DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def _fill(sim: Simulator) -> list[str]:
    emails = ["studio@example.com"] * 3 + ["team-2@example.com"] * 2
    types = ["video", "image", "video", "video", "video"]
    return [
        sim.start_job(email, type=job_type, reply_ref=f"shot-{number}")
        for number, (email, job_type) in enumerate(zip(emails, types, strict=True), start=1)
    ]


def _end_later(sim: Simulator, jobs: list[str]) -> None:
    sim.wait_for_requests(1, timeout=600)
    time.sleep(BUSY_SECONDS)
    for job in jobs:
        sim.end_job(job)


def _say_requests(sim: Simulator) -> None:
    for number in itertools.count():
        sim.wait_for_requests(number + 1, timeout=600)
        first, request = sim.requests[0], sim.requests[number]
        path = request.path.removeprefix("/v2/pixverse/")
        say(f"{request.monotonic - first.monotonic:5.1f} s  GET {path:<20} {sim.free()} slots free")


def _run_example() -> int:
    sys.path.insert(0, str(EXAMPLE_DAGS))
    dag = importlib.import_module("pixverse_wait_then_list").dag
    say(f"Running {dag.dag_id}.py: no slot is free at first.\n")
    dag_run = dag.test()
    if str(dag_run.state) != "success":
        say(f"The DAG run ended as {dag_run.state}.")
        return 1
    results = {ti.task_id: ti.xcom_pull(task_ids=ti.task_id) for ti in dag_run.get_task_instances()}
    say("\nThe sensor released the next task with the accounts that had room:\n")
    say(table(results["wait_for_slot"], ["email", "maxJobs", "executing", "available"]))
    say("\nThe operator listed what was executing, oldest first:\n")
    say(table(results["list_executing"], ["id", "type", "elapsed", "replyRef"]))
    return 0


def table(rows: list[dict[str, Any]], columns: list[str]) -> str:
    """Return rows as text, one column under its name each."""
    lines = [columns, *([str(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
