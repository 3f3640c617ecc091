"""``get_capacity()``, against a bare ``session.get().json()`` on the same simulator."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable

import requests

from airflow_pixverse.api import PixverseClient
from benchmarks.side_by_side import medians, report

RUNS = 1000
TOKEN = "user:1-bench"  # noqa: S105


def main() -> None:
    """Print the ratio."""
    command = [sys.executable, "-m", "airflow_pixverse.simulator", "--token", TOKEN]
    command += ["--port", "0", "--arrivals", "0", "--busy", "3600"]
    # In a process of its own: in a thread, it would wait for the same lock as what is measured.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as simulator:
        try:
            assert simulator.stdout
            address = re.search(r"http://\S+", simulator.stdout.readline())
            assert address
            _compare(address.group())
        finally:
            simulator.terminate()


def _compare(url: str) -> None:
    available = f"{url}/v2/pixverse/scheduler/available"
    with PixverseClient(TOKEN, url) as client, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"

        def milliseconds(call: Callable[[], object]) -> float:
            start = time.perf_counter()
            call()
            return (time.perf_counter() - start) * 1000

        ours, yardstick = medians(
            lambda: milliseconds(client.get_capacity),
            lambda: milliseconds(lambda: session.get(available).json()),
            RUNS,
        )
    report(f"get_capacity() / session.get().json() ({RUNS} calls)", ours, yardstick, unit="ms", goal=1.25)


if __name__ == "__main__":
    main()
