"""A prompt becomes a stored video inside Airflow, then thirty do on three slots; `make demo` runs this."""

from __future__ import annotations

import dataclasses
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
        return _run_example(Path(home) / "videos") or _run_thirty_prompts(Path(home) / "table")


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


def _run_example(videos: Path) -> int:
    with Simulator({"studio@example.com": 2, "team-2@example.com": 1}, job_seconds=(3, 4)) as sim:
        os.environ["AIRFLOW_CONN_PIXVERSE_DEFAULT"] = json.dumps(sim.connection)
        jobs = sim.fill()
        threading.Thread(target=_say_requests, args=(sim,), daemon=True).start()
        threading.Thread(target=_end_later, args=(sim, jobs[0]), daemon=True).start()
        sys.path.insert(0, str(EXAMPLE_DAGS))
        dag = importlib.import_module("pixverse_prompt_to_url").dag
        make_video = dag.get_task("make_video")
        make_video.timing = dataclasses.replace(make_video.timing, poke_interval=3.0)  # for those who watch
        make_video.output_path = videos.as_uri()
        say(f"1. Running {dag.dag_id}.py in Airflow. Other users' jobs take all slots at first.\n")
        dag_run = dag.test()
        video = next(ti.xcom_pull(task_ids="make_video") for ti in dag_run.get_task_instances())
    if str(dag_run.state) != "success":
        say(f"The DAG run ended as {dag_run.state}.")
        return 1
    say(f"\nThe video is at {video['url']}, for as long as PixVerse keeps it there,")
    say(f"and kept at {video['path']} ({video['bytes']} bytes).\n")
    return 0


def _end_later(sim: Simulator, job: str) -> None:
    sim.wait_for_requests(1, timeout=600)
    time.sleep(BUSY_SECONDS)
    sim.end_job(job)


def _say_requests(sim: Simulator) -> None:
    for number in itertools.count():
        sim.wait_for_requests(number + 1, timeout=600)
        first, request = sim.requests[0], sim.requests[number]
        path = request.path.removeprefix("/v2/pixverse/")
        seconds = request.monotonic - first.monotonic
        say(f"{seconds:5.1f} s  {request.method:<4} {path:<55} {sim.free()} slots free")


def _run_thirty_prompts(folder: Path) -> int:
    from airflow_pixverse.capabilities import WORKERS_HAVE_DATABASE
    from scripts.thirty_prompts import as_one_task, the_usual_way, with_this_package

    if WORKERS_HAVE_DATABASE:
        say("2. Thirty prompts on three slots: on Airflow 3 only, as Airflow 2 has a process for each task.")
        return 0
    say("2. Thirty prompts on three slots. Other people submit too, and one response in ten gets lost.")
    say("   First the usual way: submit, fail on 429, let Airflow retry (five times) ...")
    before = the_usual_way()
    say("   Then with PixverseSubmitOperator, a task for each prompt ...")
    each = with_this_package()
    say("   Then with PixverseBatchOperator, one task for all of them ...\n")
    batch = as_one_task(folder.as_uri())
    bills = (before, each, batch)
    lines: list[tuple[str, list[int]]] = [
        ("refused submits (429)", [bill.refusals for bill in bills]),
        ("prompts lost", [bill.lost for bill in bills]),
        ("videos paid for twice", [bill.twice for bill in bills]),
        ("seconds", [round(bill.seconds) for bill in bills]),
    ]
    say(f"  {'':<22}{'the usual way':>14}{'PixverseSubmitOperator':>24}{'PixverseBatchOperator':>23}")
    for name, (old, mapped, one) in lines:
        say(f"  {name:<22}{old:>14}{mapped:>24}{one:>23}")
    say("\nAll ran with Airflow's operators and triggers in one process, to be quick. `make airflow` shows")
    say("the whole of Airflow, and tests/e2e/ does this with scheduler, triggerer and killed workers.")
    return 0


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
