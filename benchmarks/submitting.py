"""Submitting in a real Airflow: what share of five slots is used, and how many calls 1 000 waits make."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from airflow_pixverse.simulator import Simulator
from tools.real_airflow import Airflow

TOKEN = "user:1-bench"  # noqa: S105
SLOTS = 5


class Load(NamedTuple):
    """
    Jobs of one length.

    :param seconds: how long each takes.
    :param rounds: how often all slots are filled.
    :param goal: the share of the slots' time that is to be used.
    """

    seconds: int
    rounds: int
    goal: float


LOADS = (Load(15, 8, 0.75), Load(60, 4, 0.9), Load(300, 2, 0.95))
WAITS, WINDOW, INTERVAL = 1000, 90.0, 15.0


def main() -> None:
    """Print the figures."""
    print(f"submitting in Airflow, {SLOTS} slots, poke_interval=5; 1 is ideal: no slot is ever free")
    for load, share in _shares():
        print(f"  jobs of {load.seconds:>3} s: {share:.2f} (goal: at least {load.goal})")
    calls = asyncio.run(_calls_of_waits())
    print(
        f"waiting for the results of {WAITS} jobs, poke_interval={INTERVAL:g}: "
        f"{calls * 3600 / WINDOW:.0f} calls an hour; one wait alone makes {3600 / INTERVAL:.0f}"
    )


def _shares() -> list[tuple[Load, float]]:
    """Return for each load which share of the slots' time its jobs take, from the first to the last."""
    with ExitStack() as running, tempfile.TemporaryDirectory() as home:
        sims = {
            load: running.enter_context(
                Simulator({"a@example.com": SLOTS}, token=TOKEN, job_seconds=(load.seconds, load.seconds))
            )
            for load in LOADS
        }
        env = {f"AIRFLOW_CONN_LOAD_{load.seconds}": json.dumps(sim.connection) for load, sim in sims.items()}
        env["AIRFLOW__CORE__PARALLELISM"] = "4"
        with Airflow(Path(home), [Path(__file__).parent / "dags"], env) as airflow:
            # All at once: most of the time, they wait.
            runs = [
                airflow.trigger("submits", {"conn": f"load_{load.seconds}", "count": load.rounds * SLOTS})
                for load in LOADS
            ]
            for run in runs:
                airflow.wait_for(run, timeout=1800)
    return [(load, _share(sim)) for load, sim in sims.items()]


def _share(sim: Simulator) -> float:
    jobs = sim.submitted()
    taken = sum(job.ends - job.started for job in jobs)
    span = max(job.ends for job in jobs) - min(job.started for job in jobs)
    return taken / (SLOTS * span)


async def _calls_of_waits() -> int:
    """Return how many calls a thousand waits make in the window, once they wait."""
    from airflow_pixverse.triggers.job import PixverseJobTrigger

    with Simulator({"a@example.com": WAITS}, token=TOKEN) as sim:
        os.environ["AIRFLOW_CONN_PIXVERSE_DEFAULT"] = json.dumps(sim.connection)
        jobs = sim.fill()

        async def wait(job_id: str) -> None:
            trigger = PixverseJobTrigger(job_ids=[job_id], poke_interval=INTERVAL, waiting_since=time.time())
            async for _ in trigger.run():
                return

        waits = [asyncio.create_task(wait(job_id)) for job_id in jobs]
        await asyncio.sleep(INTERVAL)
        before = sim.request_count
        await asyncio.sleep(WINDOW)
        calls = sim.request_count - before
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return calls


if __name__ == "__main__":
    main()
