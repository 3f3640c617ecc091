"""One peer after the other in a real Airflow: scheduler, triggerer, workers; on PostgreSQL if it is there."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from airflow_pixverse.simulator import Simulator
from benchmarks.cpu import cpu_seconds
from benchmarks.peers.figures import EMAIL, TOKEN, Effort, Load, Weather
from tools.real_airflow import Airflow, DagRun, Outcome, PostgreSQL, Worker, installed_programs

DAGS = Path(__file__).parent / "dags"
POOL = "peers"
# For how long to measure what Airflow takes without any task.
IDLE = 60.0
# The last task of each prompt, by the DAG.
LAST_TASKS = {"mapped": "make", "ending": "make", "blocking": "block", "http": "submit_and_wait.wait"}


class AirflowBench:
    """
    A running Airflow, in which peers are measured.

    :param load: the work of each peer.
    :param airflow: where they run.
    :param database: the server whose CPU time counts; None for SQLite, which has none of its own.
    """

    def __init__(self, load: Load, airflow: Airflow, database: PostgreSQL | None) -> None:
        self._load, self._airflow, self._database = load, airflow, database
        self._runs = 0
        airflow.command("pools", "set", POOL, str(load.slots), "as many as the service has slots")
        self._warm_up()
        before = self._cpu()
        time.sleep(IDLE)
        self._idle = (self._cpu() - before) / IDLE

    def run(self, dag_id: str, weather: Weather, sim: Simulator) -> Effort:
        """Run a DAG to its end, and return what it took, less what Airflow takes without any task."""
        conn, folder = self._connect(sim), self._airflow.home / f"table_{self._runs}"
        before, began = self._cpu(), time.monotonic()
        conf = {"email": EMAIL, "conn": conn, "http_conn": f"http_{conn}", "folder": f"file://{folder}"}
        run = self._airflow.trigger(dag_id, {"prompts": self._load.prompts, **conf})
        worker_seconds = self._watch(run, weather, sim)
        cpu = self._cpu() - before - self._idle * (time.monotonic() - began)
        # Without the command that makes the run, which takes seconds to start.
        seconds = self._airflow.metadata.run_seconds(run)
        if dag_id == "batch":
            collected = _stored(folder)
        else:
            collected = _succeeded(self._airflow.outcome(run), LAST_TASKS[dag_id])
        return Effort(collected, seconds, cpu, worker_seconds / seconds)

    def _warm_up(self) -> None:
        """Make a prompt: with the first, Airflow's triggerer builds its API, which takes seconds once."""
        with Simulator({EMAIL: 1}, token=TOKEN, job_seconds=(1, 1)) as sim:
            conf = {"prompts": 1, "email": EMAIL, "conn": self._connect(sim)}
            self._airflow.wait_for(self._airflow.trigger("mapped", conf))

    def _connect(self, sim: Simulator) -> str:
        """Return the id of a new connection to a service."""
        self._runs += 1
        conn = f"pixverse_{self._runs}"
        headers = json.dumps({"Authorization": f"Bearer {sim.token}"})
        http = {"conn_type": "http", "host": sim.url, "extra": headers}
        for conn_id, connection in ((conn, sim.connection), (f"http_{conn}", http)):
            self._airflow.command("connections", "add", conn_id, "--conn-json", json.dumps(connection))
        return conn

    def _watch(self, run: DagRun, weather: Weather, sim: Simulator) -> float:
        """Wait until the run is over, kill a worker if it is to be, and return the workers' seconds."""
        held, seen = 0.0, time.monotonic()
        is_to_kill = weather.kills

        def is_over() -> bool:
            nonlocal held, seen, is_to_kill
            pids, now = self._airflow.metadata.running_pids(run), time.monotonic()
            held, seen = held + len(pids) * (now - seen), now
            if is_to_kill and sim.submitted_count >= self._load.prompts_at_kill:
                is_to_kill = not _kill_one(pids)
            return self._airflow.metadata.run_state(run) in {"success", "failed"}

        self._airflow.wait_until(
            is_over, lambda: f"{run} is over: {self._airflow.outcome(run)}", self._load.patience
        )
        return held

    def _cpu(self) -> float:
        database = self._database.pid if self._database else None
        return cpu_seconds([*self._airflow.pids, *([database] if database else [])])


@contextmanager
def running_airflow(load: Load, home: Path) -> Iterator[AirflowBench]:
    """Start Airflow, and yield what measures peers in it."""
    with ExitStack() as running:
        database = running.enter_context(PostgreSQL()) if installed_programs() else None
        # So that the pool is what bounds a peer, and not the number of workers.
        workers = load.slots + 3 if not load.worker_start else 4 * load.slots
        env = {
            "AIRFLOW__CORE__PARALLELISM": str(workers),
            "PIXVERSE_BENCH_WORKER_START": str(load.worker_start),
        }
        yield AirflowBench(
            load, running.enter_context(Airflow(home, [DAGS], env, database=database)), database
        )


def _kill_one(pids: list[int | None]) -> bool:
    """Kill the worker of one of these tasks, as when its machine fails; return whether there was one."""
    for pid in filter(None, pids):
        with suppress(psutil.NoSuchProcess):
            Worker.of_task(pid).kill()
            return True
    return False


def _succeeded(outcome: Outcome, task_id: str) -> frozenset[str]:
    return frozenset(f"prompt {ti.map_index}" for ti in outcome.mapped(task_id) if ti.state == "success")


def _stored(folder: Path) -> frozenset[str]:
    """Return the prompts whose video the manifest of a batch names."""
    [manifest] = folder.glob("*.csv")
    with manifest.open() as file:
        return frozenset(row["prompt"] for row in csv.DictReader(file) if row["status"] == "stored")
