"""A table as one task, with a bucket as its folder: each row is paid for once, whatever dies beside it."""

import csv
import json
from collections import Counter

import pytest

from airflow_pixverse.simulator import Simulator, faults

ROWS, KILLS = 40, 3
PROMPTS = [f"row {number}" for number in range(ROWS)]


@pytest.fixture(scope="module")
def service(with_buckets, secret):
    """A service with short jobs. Airflow has a connection to it, and one to the object store."""
    with Simulator({"a@example.com": 6}, token=f"user:1-{secret}", job_seconds=(1, 3)) as simulator:
        connection = json.dumps(simulator.connection)
        with_buckets.command("connections", "add", "pixverse_tables", "--conn-json", connection)
        yield simulator


@pytest.fixture
def sim(service):
    """The service without the jobs of the test before."""
    service.clear_faults()
    return service


@pytest.fixture
def folder(bucket):
    """The address of a folder with a table of prompts of this test."""
    rows = [json.dumps({"prompt": f"{bucket.name} {prompt}"}) for prompt in PROMPTS]
    bucket.put("campaign/rows.jsonl", "\n".join(rows).encode())
    return f"{bucket.url}/campaign/"


def paid(sim, bucket):
    """Return how often each prompt of a table is paid for."""
    counts = Counter(job.payload["prompt"] for job in sim.submitted())
    return {prompt: counts[f"{bucket.name} {prompt}"] for prompt in PROMPTS}


def manifest(bucket):
    """The lines of the manifest, by prompt."""
    lines = csv.DictReader(bucket.get("campaign/campaign.csv").decode().splitlines())
    return {line["prompt"].removeprefix(f"{bucket.name} "): line for line in lines}


def videos(bucket):
    """The keys of the files in the folder."""
    return [key for key in bucket.keys if key.endswith(".mp4")]


def test_table_in_a_bucket_is_made_once_although_its_workers_are_killed(airflow, sim, bucket, folder):
    sim.inject(faults.lost_answer(), times=None, method="POST", share=0.2)
    run = airflow.trigger("makes_a_table_in_a_bucket", {"folder": folder})
    for kill in range(1, KILLS + 1):
        enough = kill * ROWS // (KILLS + 1)
        airflow.wait_until(
            lambda enough=enough: sum(paid(sim, bucket).values()) >= enough, lambda: str(paid(sim, bucket))
        )
        airflow.worker(run, "campaign").kill_task()
    campaign = airflow.wait_for(run).task("campaign")
    lines, times = manifest(bucket), paid(sim, bucket)
    unknown = {prompt for prompt, line in lines.items() if line["status"] == "unknown"}
    assert list(lines) == PROMPTS
    assert {line["status"] for line in lines.values()} - {"unknown"} == {"stored"}
    assert campaign.state == ("failed" if unknown else "success")
    assert max(times.values()) == 1
    assert {prompt for prompt, count in times.items() if count == 0} <= unknown
    assert len(videos(bucket)) == ROWS - len(unknown)
    assert bucket.unfinished == []


def test_two_dags_on_one_folder_pay_for_each_row_once(airflow, sim, bucket, folder):
    conf = {"folder": folder}
    runs = [airflow.trigger(dag_id, conf) for dag_id in ("makes_a_table_in_a_bucket", "makes_the_same_table")]
    summaries = [airflow.wait_for(run).task("campaign").xcom for run in runs]
    assert [summary["counts"]["stored"] for summary in summaries] == [ROWS, ROWS]
    assert sum(summary["made"] for summary in summaries) >= ROWS
    assert set(paid(sim, bucket).values()) == {1}
    assert len(videos(bucket)) == ROWS
