"""The cost of imports: the sensor, since DAG files are parsed all day, and the plugin in every process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from benchmarks.side_by_side import medians, report

RUNS = 15
CODE = """
import importlib, sys, time
*before, module = sys.argv[1:]
for name in before:
    importlib.import_module(name)
began = time.perf_counter()
importlib.import_module(module)
print(time.perf_counter() - began)
"""


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "AIRFLOW_HOME": home}
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, in the warm-up

        def seconds(*modules: str) -> float:
            """Return how long the last module takes to import after the others."""
            command = [sys.executable, "-c", CODE, *modules]
            return float(subprocess.run(command, env=env, check=True, capture_output=True).stdout.split()[-1])

        ours, yardstick = medians(
            lambda: seconds("airflow_pixverse.sensors.pixverse"),
            lambda: seconds("airflow.providers.http.sensors.http"),
            RUNS,
        )
        # Every process of Airflow has its plugin manager.
        plugin, manager = medians(
            lambda: seconds("airflow.plugins_manager", "airflow_pixverse.plugins.pixverse"),
            lambda: seconds("airflow.plugins_manager"),
            RUNS,
        )
    report(
        f"import airflow_pixverse.sensors.pixverse / airflow.providers.http.sensors.http ({RUNS} runs)",
        ours,
        yardstick,
        unit="s",
        goal=1.0,
    )
    report(
        f"import airflow_pixverse.plugins.pixverse / airflow.plugins_manager ({RUNS} runs)",
        plugin,
        manager,
        unit="s",
        goal=0.01,
    )


if __name__ == "__main__":
    main()
