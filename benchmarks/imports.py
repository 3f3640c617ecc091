"""
The cost of imports: in DAG files, which are parsed all day, in every process, and in the workers of a submit.

All in CPU time, as other processes take their part of what the clock says.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from benchmarks.side_by_side import medians, report

RUNS = 15
CODE = """
import importlib, sys, time
before, measured = (names.split(",") for names in sys.argv[1:])
for name in filter(None, before):
    importlib.import_module(name)
began = time.process_time()
for name in measured:
    importlib.import_module(name)
print(time.process_time() - began)
"""
# Every worker of Airflow 3 has imported these before it imports a DAG file.
WORKER = ("airflow.sdk.execution_time.task_runner", "airflow.providers.common.compat.sdk")
SUBMIT = (
    "airflow_pixverse.operators.pixverse",
    "airflow_pixverse.submission.flow",
    "airflow_pixverse.api.client",
    "airflow_pixverse.api.results",
)


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "AIRFLOW_HOME": home}
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, in the warm-up

        def seconds(*modules: str, after: tuple[str, ...] = ()) -> float:
            """Return how much CPU time modules take to import after others."""
            command = [sys.executable, "-c", CODE, ",".join(after), ",".join(modules)]
            return float(subprocess.run(command, env=env, check=True, capture_output=True).stdout.split()[-1])

        ours, yardstick = medians(
            lambda: seconds("airflow_pixverse.sensors.pixverse"),
            lambda: seconds("airflow.providers.http.sensors.http"),
            RUNS,
        )
        # Every process of Airflow has its plugin manager.
        plugin, manager = medians(
            lambda: seconds("airflow_pixverse.plugins.pixverse", after=("airflow.plugins_manager",)),
            lambda: seconds("airflow.plugins_manager"),
            RUNS,
        )
        worker, requests = medians(
            lambda: seconds(*SUBMIT, after=WORKER), lambda: seconds("requests", after=WORKER), RUNS
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
    report(
        f"imports of a worker of the submit operator / import requests ({RUNS} runs)",
        worker,
        requests,
        unit="s",
        goal=3.0,
    )


if __name__ == "__main__":
    main()
