"""``get_capacity()``, against a bare ``session.get().json()`` on the same simulator."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import requests
from side_by_side import medians, report

from airflow_pixverse.api.client import PixverseClient

RUNS = 1000
TOKEN = "user:1-bench"  # noqa: S105


def main() -> None:
    """Print the ratio."""
    # In a process of its own: in a thread, it would wait for the same lock as what is measured.
    command = [
        sys.executable,
        "-m",
        "airflow_pixverse.simulator",
        "--port",
        "0",
        "--arrivals",
        "0",
        "--busy",
        "3600",
    ]
    with subprocess.Popen(
        [*command, "--token", TOKEN], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as simulator:
        try:
            _compare(re.search(r"http://\S+", simulator.stdout.readline()).group())
        finally:
            simulator.terminate()


def _compare(url: str) -> None:
    available = f"{url}/v2/pixverse/scheduler/available"
    with PixverseClient(TOKEN, url) as client, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"

        def timed(call: object) -> float:
            start = time.perf_counter()
            call()
            return (time.perf_counter() - start) * 1000

        ours, yardstick = medians(
            lambda: timed(client.get_capacity), lambda: timed(lambda: session.get(available).json()), RUNS
        )
    report(f"get_capacity() / session.get().json() ({RUNS} calls)", ours, yardstick, unit="ms", goal=1.25)


if __name__ == "__main__":
    main()
