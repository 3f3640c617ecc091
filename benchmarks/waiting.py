"""Waiting in a real Airflow: ours in the triggerer, against HttpSensor in reschedule mode."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from airflow_pixverse.simulator import Simulator
from benchmarks.cpu import cpu_seconds
from tools.real_airflow import Airflow, DagRun, TaskInstance

WINDOW = 90.0
SETTLING = 20.0
TOKEN = "user:1-bench"  # noqa: S105


@dataclass
class Figures:
    """The cost of waiting, and the time that a free slot takes to release a wait."""

    waits: int
    calls: float
    cpu: float
    release: float

    def __str__(self) -> str:
        return (
            f"{self.waits} waits: {self.calls:.1f} calls a minute, {self.cpu:.3f} CPU-seconds per wait "
            f"and minute, the first released {self.release:.1f} s after the slot was free"
        )


def main() -> None:
    """Print the figures and the ratio."""
    with Simulator(token=TOKEN) as sim, tempfile.TemporaryDirectory() as home:
        http = {
            "conn_type": "http",
            "host": sim.url,
            "extra": json.dumps({"Authorization": f"Bearer {TOKEN}"}),
        }
        env = {
            "AIRFLOW_CONN_PIXVERSE_DEFAULT": json.dumps(sim.connection),
            "AIRFLOW_CONN_YARDSTICK": json.dumps(http),
            "AIRFLOW__CORE__PARALLELISM": "4",
        }
        with Airflow(Path(home), [Path(__file__).parent / "dags"], env) as airflow:
            idle = _cpu_a_minute(airflow)
            ours = _measure(airflow, sim, "ours", idle)
            yardstick = _measure(airflow, sim, "yardstick", idle)
    print(
        f"waiting in Airflow, for {WINDOW:g} s with poke_interval=30, less the {idle:.0f} CPU-seconds a "
        "minute that Airflow takes without any wait\n"
        f"  PixverseCapacitySensor, begins and ends in the trigger: {ours}\n"
        f"  HttpSensor(mode='reschedule', response_check=...):      {yardstick}\n"
        f"  CPU-seconds a wait: ours takes {yardstick.cpu / ours.cpu:.0f} times less (goal: at least 20)"
    )


def _measure(airflow: Airflow, sim: Simulator, dag_id: str, idle: float) -> Figures:
    sim.end_all_jobs()
    [job, *_] = sim.fill()
    run = airflow.trigger(dag_id)
    airflow.wait_until(lambda: _all_wait(airflow, run), lambda: f"all of {dag_id} wait")
    time.sleep(SETTLING)
    calls = sim.request_count
    cpu = _cpu_a_minute(airflow) - idle
    calls = sim.request_count - calls
    count = len(airflow.outcome(run))
    freed = time.time()
    sim.end_job(job)
    airflow.wait_until(lambda: bool(_ended(airflow, run)), lambda: "one is released")
    release = min(wait.end_date.timestamp() for wait in _ended(airflow, run) if wait.end_date) - freed
    for email in ("a-1@example.com", "a-2@example.com"):
        sim.set_max_jobs(email, 1000)
    airflow.wait_for(run)
    for email in ("a-1@example.com", "a-2@example.com"):
        sim.set_max_jobs(email, 3)
    return Figures(count, calls * 60 / WINDOW, cpu / count, release)


def _all_wait(airflow: Airflow, run: DagRun) -> bool:
    waits = airflow.outcome(run)
    return bool(waits) and all(wait.start_date for wait in waits)


def _ended(airflow: Airflow, run: DagRun) -> list[TaskInstance]:
    return [wait for wait in airflow.outcome(run) if wait.state == "success"]


def _cpu_a_minute(airflow: Airflow) -> float:
    before = cpu_seconds(airflow.pids)
    time.sleep(WINDOW)
    return (cpu_seconds(airflow.pids) - before) * 60 / WINDOW


if __name__ == "__main__":
    main()
