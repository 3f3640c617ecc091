"""Importing the sensor, against importing the sensor of the http provider: DAG files are parsed all day."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from benchmarks.side_by_side import medians, report

RUNS = 15
CODE = "import sys, time; t = time.perf_counter(); __import__(sys.argv[1]); print(time.perf_counter() - t)"


def main() -> None:
    """Print the ratio."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "AIRFLOW_HOME": home}
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, in the warm-up

        def seconds(module: str) -> float:
            command = [sys.executable, "-c", CODE, module]
            return float(subprocess.run(command, env=env, check=True, capture_output=True).stdout.split()[-1])

        ours, yardstick = medians(
            lambda: seconds("airflow_pixverse.sensors.pixverse"),
            lambda: seconds("airflow.providers.http.sensors.http"),
            RUNS,
        )
    report(
        f"import airflow_pixverse.sensors.pixverse / airflow.providers.http.sensors.http ({RUNS} runs)",
        ours,
        yardstick,
        unit="s",
        goal=1.0,
    )


if __name__ == "__main__":
    main()
