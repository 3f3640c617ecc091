"""Storing and uploading large results in a real Airflow: memory and time, against bare loops of requests."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path

from airflow_pixverse.api import PixverseClient
from airflow_pixverse.simulator import Simulator
from benchmarks.side_by_side import report
from tests.object_store import ObjectStore
from tools.real_airflow import Airflow, Outcome

TOKEN = "user:1-bench"  # noqa: S105
RUNS = 3
MEASURES = (
    ("megabytes", "MB at the peak", 1.2),
    ("cpu_seconds", "CPU-seconds", None),
    ("seconds", "s", None),
)
GIGABYTE = 1_000_000_000
# Less, as the server of the tests is slow, and keeps all that it was ever given.
IN_BUCKET = 200_000_000


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as directory, Simulator(token=TOKEN) as sim, ObjectStore() as store:
        home, folder = Path(directory, "airflow"), Path(directory, "results")
        home.mkdir()
        folder.mkdir()
        [job, *_] = sim.fill()
        sim.end_job(job)
        with PixverseClient(TOKEN, sim.url) as client:
            url = client.get_result(job).url
        connections = {"pixverse_default": sim.connection, store.conn_id: store.connection}
        with Airflow(home, [Path(__file__).parent / "dags"], connections=connections) as airflow:
            for size, place in ((GIGABYTE, f"file://{folder}"), (IN_BUCKET, store.new_bucket().url)):
                sim.media_bytes = size
                runs = [_run(airflow, {"url": url, "folder": place}) for _ in range(1 + RUNS)]
                _report(runs[1:], f"{size / 1e6:g} MB, {place.partition(':')[0]}://")


def _run(airflow: Airflow, conf: dict[str, str | None]) -> Outcome:
    return airflow.wait_for(airflow.trigger("transfers", conf))


def _report(runs: Iterable[Outcome], what: str) -> None:
    for does, said in (("stores", "store a result"), ("uploads", "upload a file")):
        for measure, unit, goal in MEASURES:
            ours, yardstick = (
                statistics.median(run.task(f"{whose}_{does}").xcom[measure] for run in runs)
                for whose in ("ours", "yardstick")
            )
            report(
                f"{said} ({what}) / a bare loop of requests ({RUNS} runs)",
                ours,
                yardstick,
                unit=unit,
                goal=goal,
            )


if __name__ == "__main__":
    main()
