"""Every benchmark, one after the other; `make bench` runs this."""

from __future__ import annotations

import platform
import sys

import client
import gate
import imports
import waiting
from airflow import __version__ as airflow_version


def main() -> None:
    """Print all ratios."""
    print(f"Airflow {airflow_version}, Python {platform.python_version()}, {platform.machine()}\n")
    imports.main()
    client.main()
    gate.main()
    waiting.main()


if __name__ == "__main__":
    sys.exit(main())
