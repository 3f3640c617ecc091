"""
The useapi.net PixVerse API on this machine, to develop and test against without an account.

It is not for production: any user of this machine may control it.

``python -m airflow_pixverse.simulator`` serves it until Ctrl-C; in tests::

    with Simulator(accounts={"a-1@example.com": 3}) as sim:
        sim.fill()
        sim.inject(faults.rate_limit(retry_after=5))
        sim.inject(faults.lost_answer(), times=None, method="POST", share=0.2)
        ...
        assert len(sim.submitted(prompt="a cat")) == 1  # no job was submitted twice

or the fixture ``pixverse_simulator`` of the pytest plugin, :mod:`airflow_pixverse.testing.plugin`.

A job is submitted with any create endpoint, is listed by the scheduler endpoints while it runs, and has a
result when it has ended. With ``"off_peak_mode": true`` in its payload it takes no slot and is never listed.
How it ends depends on its prompt (``sim.set_fate``), on shares (``failed``, ``moderated``) or on
``sim.end_job``. The URL of a result leads to a file, and a test can act in the middle of its download::

    sim.inject(faults.hold(after=1000), path=".mp4")
    ...
    sim.wait_for_held()
    sim.release()
    assert sha256 == sim.media_sha256(job_id)
"""

try:
    import aiohttp  # noqa: F401 - the extra may not be installed
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError("The simulator needs aiohttp: install the extra `simulator`") from exc

from airflow_pixverse.simulator import faults
from airflow_pixverse.simulator.server import Simulator

__all__ = ["Simulator", "faults"]
