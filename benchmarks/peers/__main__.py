"""Measure the peers in turn, and print the table as Markdown."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.peers.figures import WEATHERS, Load, Row, Weather, markdown
from benchmarks.peers.in_airflow import AirflowBench, running_airflow
from benchmarks.peers.without_airflow import run_bare_loop
from tools.real_airflow import installed_programs

IN_AIRFLOW = {
    "mapped": "this package, one mapped task a prompt",
    "ending": "the same, ended in the triggerer",
    "batch": "this package, one batch",
    "blocking": "a blocking task, with a pool",
    "http": "`HttpOperator`, `HttpSensor` in reschedule mode, with a pool",
}
PEERS = {**IN_AIRFLOW, "bare": "a bare loop, without Airflow"}


def main() -> None:
    """Run them, say on standard error how far they are, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--prompts", type=int, default=60, help="how many (default: %(default)s)")
    parser.add_argument("--slots", type=int, default=5, help="of the service (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="of each job (default: %(default)s)")
    slow_start = "seconds before a worker executes a task, as with pods (default: %(default)s)"
    parser.add_argument("--worker-start", type=float, default=0.0, help=slow_start)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--weather", nargs="+", choices=WEATHERS, default=list(WEATHERS))
    wanted = parser.parse_args()
    # Airflow's set-up of logging would print each request to the simulator.
    logging.disable(logging.INFO)
    load = Load(wanted.prompts, wanted.slots, wanted.seconds, wanted.worker_start)
    rows = []
    with ExitStack() as running:
        bench = None
        if IN_AIRFLOW.keys() & set(wanted.peers):
            home = running.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            _say("starting Airflow")
            bench = running.enter_context(running_airflow(load, Path(home)))
        for weather in (WEATHERS[name] for name in wanted.weather):
            for peer in wanted.peers:
                rows.append(_row(peer, weather, load, bench))
                _say(str(rows[-1]))
    print(markdown(load, rows, "PostgreSQL" if installed_programs() else "SQLite"))


def _row(peer: str, weather: Weather, load: Load, bench: AirflowBench | None) -> Row:
    with weather.simulator(load) as sim:
        if peer in IN_AIRFLOW and bench is not None:
            effort = bench.run(peer, weather, sim)
        else:
            effort = run_bare_loop(load, weather, sim)
        return Row.of(PEERS[peer], weather, load, sim, effort)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
