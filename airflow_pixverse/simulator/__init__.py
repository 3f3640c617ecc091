"""
The useapi.net PixVerse API on this machine, to develop and test against without an account.

It is not for production: anybody on this machine may control it.

``python -m airflow_pixverse.simulator`` serves it until Ctrl-C; in tests::

    with Simulator(accounts={"a-1@example.com": 3}) as sim:
        sim.fill()
        sim.inject(faults.rate_limit(retry_after=5))

or the fixture ``pixverse_simulator`` of the pytest plugin, :mod:`airflow_pixverse.testing.plugin`.
"""

try:
    import aiohttp  # noqa: F401 - the extra may not be installed
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError("The simulator needs aiohttp: install the extra `simulator`") from exc

from airflow_pixverse.simulator import faults
from airflow_pixverse.simulator.server import Simulator

__all__ = ["Simulator", "faults"]
