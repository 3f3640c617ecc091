"""A result is stored and uploaded again, by this package and by bare loops; each task tells what it took."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from airflow.providers.common.compat.sdk import DAG, BaseHook, ObjectStoragePath, chain, task

from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.operators.pixverse import PixverseDownloadOperator

CHUNK = 64 * 1024
TIMEOUT = 60


def measured(transfer: Callable[[], object]) -> dict[str, float]:
    """Return how long a transfer takes, and the megabytes that this process had at its peak."""
    began, cpu_before = time.perf_counter(), time.process_time()
    transfer()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_before
    # "getrusage" counts the processes that this one was forked from, too.
    [peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "megabytes": int(peak.split()[1]) / 1024}


class Download(PixverseDownloadOperator):
    """The operator, which returns what it took."""

    def execute(self, context: Any) -> dict[str, float]:
        """Store the result."""
        return measured(lambda: super(Download, self).execute(context))


with DAG("transfers", schedule=None, start_date=datetime(2026, 1, 1)):
    ours_stores = Download(
        task_id="ours_stores",
        result={"url": "{{ dag_run.conf['url'] }}"},
        output_path="{{ dag_run.conf['folder'] }}",
        file_name="ours.mp4",
    )

    @task
    def yardstick_stores(dag_run: Any = None) -> dict[str, float]:
        """Store the result in a bare loop."""
        url, path = dag_run.conf["url"], ObjectStoragePath(dag_run.conf["folder"]) / "yardstick.mp4"

        def transfer() -> None:
            with (
                requests.get(url, stream=True, timeout=TIMEOUT) as response,
                path.fs.open(path.path, "wb") as file,
            ):
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)

        return measured(transfer)

    @task
    def ours_uploads(dag_run: Any = None) -> dict[str, float]:
        """Upload what has been stored."""
        return measured(lambda: PixverseHook().upload(f"{dag_run.conf['folder']}/ours.mp4"))

    @task
    def yardstick_uploads(dag_run: Any = None) -> dict[str, float]:
        """Upload it with a bare request."""
        path = ObjectStoragePath(dag_run.conf["folder"]) / "yardstick.mp4"
        connection = BaseHook.get_connection(PixverseHook.default_conn_name)
        url = f"{connection.host}/v2/pixverse/files/"
        headers = {"Authorization": f"Bearer {connection.password}", "Content-Type": "video/mp4"}

        def transfer() -> None:
            with path.fs.open(path.path, "rb") as file:
                requests.post(url, data=file, headers=headers, timeout=TIMEOUT).raise_for_status()

        return measured(transfer)

    chain(ours_stores, yardstick_stores(), ours_uploads(), yardstick_uploads())
