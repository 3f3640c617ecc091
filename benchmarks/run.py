"""Every benchmark, one after the other; `make bench` runs this."""

from __future__ import annotations

import logging
import platform

from airflow import __version__ as airflow_version

from benchmarks import client, gate, imports, submitting, table, transferring, waiting


def main() -> None:
    """Print all figures."""
    # Airflow's set-up of logging would print each request to the simulator between them.
    logging.disable(logging.INFO)
    print(f"Airflow {airflow_version}, Python {platform.python_version()}, {platform.machine()}\n")
    for benchmark in (imports, client, gate, waiting, submitting, table, transferring):
        benchmark.main()


if __name__ == "__main__":
    main()
