"""The work of the peers, the weather that they meet, and the table of how they did."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from airflow_pixverse.simulator import Simulator, faults

TOKEN = "user:1-bench"  # noqa: S105
EMAIL = "studio@example.com"
REFUSED = 429


@dataclass(frozen=True)
class Load:
    """
    The work of each peer.

    :param prompts: how many prompts to make.
    :param slots: how many jobs the service executes at once.
    :param seconds: how long each job takes.
    :param worker_start: how many seconds a worker takes before it executes a task, beyond Airflow's own.
    """

    prompts: int
    slots: int
    seconds: float
    worker_start: float = 0.0

    @property
    def ideal(self) -> float:
        """The seconds that it takes if no slot is free between the first submit and the last job's end."""
        return -(-self.prompts // self.slots) * self.seconds

    @property
    def prompts_at_kill(self) -> int:
        """Number of prompts that are submitted when a worker is killed."""
        return self.prompts // 3

    @property
    def patience(self) -> float:
        """After how many seconds a peer is given up."""
        return 20 * self.ideal + 600


@dataclass(frozen=True)
class Weather:
    """
    The trouble that the peers meet.

    :param lost_answers: the share of submits whose answer gets lost, although the job is accepted.
    :param others: the share of the slots' time that jobs of other users would take if nobody else came.
    :param kills: whether a worker is killed once a third of the prompts is submitted.
    """

    name: str
    lost_answers: float = 0.0
    others: float = 0.0
    kills: bool = False

    def simulator(self, load: Load) -> Simulator:
        """Return a fresh service with this weather."""
        arrivals = self.others * load.slots * 60 / load.seconds
        sim = Simulator(
            {EMAIL: load.slots},
            token=TOKEN,
            job_seconds=(load.seconds, load.seconds),
            arrivals=arrivals,
            seed=7,
        )
        if self.lost_answers:
            sim.inject(faults.lost_answer(), times=None, method="POST", share=self.lost_answers)
        return sim


WEATHERS = {
    weather.name: weather
    for weather in (Weather("quiet"), Weather("rough", lost_answers=0.1, others=0.2, kills=True))
}


@dataclass(frozen=True)
class Effort:
    """
    The effort of a peer.

    :param collected: the prompts whose video it has in the end.
    :param seconds: from its start to its end.
    :param cpu: CPU-seconds.
    :param workers: how many worker processes were busy with it, on average.
    """

    collected: frozenset[str]
    seconds: float
    cpu: float
    workers: float


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    peer: str
    weather: str
    made: int
    lost: int
    paid_twice: int
    refusals: int
    of_ideal: float
    cpu_a_prompt: float
    workers: float

    @classmethod
    def of(cls, peer: str, weather: Weather, load: Load, sim: Simulator, effort: Effort) -> Row:
        """Return the row of a peer, by what the service has seen."""
        paid = Counter(job.payload["prompt"] for job in sim.submitted())
        return cls(
            peer,
            weather.name,
            made=len(effort.collected),
            lost=len(paid.keys() - effort.collected),
            paid_twice=sum(jobs > 1 for jobs in paid.values()),
            refusals=sum(one.method == "POST" and one.status == REFUSED for one in sim.requests),
            of_ideal=effort.seconds / load.ideal,
            cpu_a_prompt=effort.cpu / load.prompts,
            workers=effort.workers,
        )

    def __str__(self) -> str:
        counts = f"{self.made} | {self.lost} | {self.paid_twice} | {self.refusals}"
        return (
            f"| {self.peer} | {self.weather} | {counts} "
            f"| {self.of_ideal:.2f} | {self.cpu_a_prompt:.2f} | {self.workers:.1f} |"
        )


HEAD = (
    "| | weather | made | lost | paid twice | refusals | time, of the ideal | CPU-seconds a prompt "
    "| workers held |\n|---|---|---|---|---|---|---|---|---|"
)


def markdown(load: Load, rows: Iterable[Row], database: str) -> str:
    """Return the table with machine and date, as docs/reference/speed.md and the README have it."""
    slow = f", with workers that take {load.worker_start:g} s to start" if load.worker_start else ""
    what = (
        f"{load.prompts} prompts of {load.seconds:g} s on {load.slots} slots{slow}, where {load.ideal:g} s "
        f"is the ideal ({datetime.now(UTC):%Y-%m-%d}; {_machine()}; "
        f"Airflow {version('apache-airflow')} on {database}, Python {platform.python_version()}):"
    )
    return "\n".join((what, "", HEAD, *map(str, rows)))


def _machine() -> str:
    model = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{os.cpu_count()} cores ({model or platform.machine()})"
