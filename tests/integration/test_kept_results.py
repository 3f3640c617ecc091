"""Results that are kept in object storage, inside Airflow: whole, once, and never paid for again."""

import hashlib

import pytest

from airflow_pixverse.simulator import faults
from tests.integration.submits import ending_jobs, posts, prompts, submit


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch, short_minutes):
    monkeypatch.setattr("airflow_pixverse.storage.download._FIRST_PAUSE", 0.0)


@pytest.fixture
def folder(tmp_path):
    """A folder that does not exist yet, and its address."""
    return tmp_path / "results"


def test_a_result_is_stored_before_the_task_succeeds(sim, mode, folder):
    with ending_jobs(sim):
        outcome = submit(output_path=f"file://{folder}/", **mode)
    [job] = sim.submitted()
    [stored] = folder.iterdir()
    content = stored.read_bytes()
    assert stored.name == f"video-{job.number}.mp4"
    result = outcome.xcom("make")
    assert result["id"] == job.id
    assert result["path"] == f"file://{stored}"
    assert result["bytes"] == len(content)
    assert result["content_type"] == "video/mp4"
    assert result["sha256"] == hashlib.sha256(content).hexdigest() == sim.media_sha256(job.id)


def test_a_result_is_stored_in_a_bucket(sim, mode, bucket):
    with ending_jobs(sim):
        outcome = submit(output_path=f"{bucket.url}/{{{{ ds }}}}/", file_name="fox.{ext}", **mode)
    assert outcome.state("make") == "success"
    [job] = sim.submitted()
    [key] = bucket.keys
    assert key.endswith("/fox.mp4")
    assert outcome.xcom("make")["path"] == f"{bucket.url}/{key}"
    assert hashlib.sha256(bucket.get(key)).hexdigest() == sim.media_sha256(job.id)


def test_a_download_that_fails_is_retried_and_nothing_is_submitted_again(sim, mode, folder):
    sim.inject(faults.status(500), path=".mp4", times=4)
    with ending_jobs(sim):
        outcome = submit(output_path=f"file://{folder}/", **mode)
    assert outcome.state("make") == "success"
    assert outcome.tries["make"] == [2]
    assert prompts(sim) == ["a cat"]
    assert len(posts(sim)) == 1
    assert len(list(folder.iterdir())) == 1
