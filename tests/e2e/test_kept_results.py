"""From a bucket into a bucket, although workers are killed: whole files only, each paid for once."""

import hashlib
import json
from fnmatch import fnmatch

import pytest

from airflow_pixverse.simulator import Simulator, faults
from tests.e2e.patient import patient
from tools.real_airflow import PATIENCE

# More than is written to a bucket at once, so that half of it may be there.
VIDEO_BYTES, HALF = 20_000_000, 12_000_000
VIDEO = "videos/fox.mp4"


@pytest.fixture(scope="module")
def service(with_buckets, secret):
    """A service whose jobs take a moment. Airflow has a connection to it, and one to the object store."""
    with Simulator(token=f"user:1-{secret}", job_seconds=(1, 1), media_bytes=VIDEO_BYTES) as simulator:
        connection = json.dumps(patient(simulator))
        with_buckets.command("connections", "add", "pixverse_kept", "--conn-json", connection)
        yield simulator


@pytest.fixture
def sim(service):
    """The service with nothing injected; its jobs, uploads and log of requests stay."""
    service.clear_faults()
    return service


@pytest.fixture
def start(airflow, sim, bucket):
    """A function that starts a run, which makes a video of a picture in the bucket."""
    picture = bucket.put("picture.png", bucket.name.encode())
    return lambda: airflow.trigger("keeps_results", {"picture": picture, "folder": f"{bucket.url}/videos/"})


def uploads(sim, bucket):
    """Return the names that the service gave the picture, at each upload."""
    sha256 = hashlib.sha256(bucket.name.encode()).hexdigest()
    return [upload.path for upload in sim.uploads if upload.sha256 == sha256]


def downloads(sim, job):
    """Return the number of bytes of the video that were sent, at each download."""
    return [one.sent for one in sim.requests if one.path == f"/media/{job.number}.mp4"]


def made_once(sim, bucket, run, result):
    """The only job of a run, once it is certain that its video was never in the bucket but whole."""
    [job] = sim.submitted(prompt=run.run_id)
    assert job.payload["first_frame_path"] == uploads(sim, bucket)[-1]
    assert bucket.keys == ["picture.png", VIDEO]
    assert bucket.sizes(VIDEO) == [VIDEO_BYTES]
    assert hashlib.sha256(bucket.get(VIDEO)).hexdigest() == sim.media_sha256(job.id) == result["sha256"]
    assert result["path"] == f"{bucket.url}/{VIDEO}"
    return job


def test_a_worker_that_is_killed_in_a_download_leaves_nothing_but_the_download_to_the_retry(
    airflow, sim, bucket, start
):
    sim.inject(faults.hold(after=HALF), path=".mp4")
    run = start()
    sim.wait_for_held(timeout=PATIENCE)
    airflow.wait_until(lambda: bucket.unfinished != [], lambda: "a part of it is in the bucket")
    airflow.worker(run, "make").kill()
    sim.wait_for_held(0)
    assert bucket.keys == ["picture.png"]
    [left_over] = bucket.unfinished
    assert fnmatch(left_over, "videos/.*.part")

    make = airflow.wait_for(run).task("make")
    assert (make.state, make.try_number > 1) == ("success", True)
    job = made_once(sim, bucket, run, make.xcom)
    sent = downloads(sim, job)
    assert (sent[0], sent[-1]) == (HALF, VIDEO_BYTES)
    assert len(sent) <= make.try_number
    assert len(uploads(sim, bucket)) == 1


@pytest.mark.main_job
def test_a_picture_becomes_a_video_although_a_worker_is_killed_in_the_upload(airflow, sim, bucket, start):
    sim.inject(faults.hold(), path="files")
    run = start()
    sim.wait_for_held(timeout=PATIENCE)
    airflow.worker(run, "make").kill_task()
    sim.wait_for_held(0)
    assert sim.submitted(prompt=run.run_id) == []

    make = airflow.wait_for(run).task("make")
    assert make.ended == ("success", 2)
    job = made_once(sim, bucket, run, make.xcom)
    assert len(uploads(sim, bucket)) == 2
    assert downloads(sim, job) == [VIDEO_BYTES]
    assert bucket.unfinished == []
