"""Results that are kept in object storage, inside Airflow: whole, once, and never paid for again."""

import hashlib
import json

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_pixverse.capabilities import CAN_START_FROM_TRIGGER
from airflow_pixverse.operators.pixverse import PixverseDownloadOperator, PixverseSubmitOperator
from airflow_pixverse.sensors.job import PixverseJobSensor
from airflow_pixverse.simulator import faults
from airflow_pixverse.storage.download import Download
from airflow_pixverse.triggers.pixverse import PixverseCapacityTrigger
from tests.helpers import sensors
from tests.helpers.dag_runs import new_dag, run
from tests.helpers.sensors import MODES
from tests.helpers.submits import (
    PROMPT,
    downloads,
    elsewhere,
    ended_by_hand,
    ending_jobs,
    posts,
    prompts,
    submit,
    submit_and_end,
)


@pytest.fixture
def folder(tmp_path):
    """A folder that does not exist yet, and its address."""
    return tmp_path / "results"


@pytest.fixture
def locked(tmp_path):
    """The address of a folder that cannot be written to, not even by the superuser: it is a file."""
    (tmp_path / "locked").write_bytes(b"")
    return f"file://{tmp_path}/locked"


# The submit operator


def test_a_result_is_stored_before_the_task_succeeds(sim, mode, folder):
    outcome = submit_and_end(sim, output_path=f"file://{folder}/", **mode)
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
    [request] = downloads(sim)
    assert request.headers.get("Authorization") == "missing", "the token is for the service only"


def test_a_result_is_stored_in_a_bucket(sim, bucket):
    outcome = submit_and_end(sim, output_path=f"{bucket.url}/{{{{ ds }}}}/", file_name="fox.{ext}")
    assert outcome.state("make") == "success"
    [job] = sim.submitted()
    [key] = bucket.keys
    assert key.endswith("/fox.mp4")
    assert outcome.xcom("make")["path"] == f"{bucket.url}/{key}"
    assert hashlib.sha256(bucket.get(key)).hexdigest() == sim.media_sha256(job.id)


def test_a_download_that_fails_is_retried_and_nothing_is_submitted_again(sim, mode, folder):
    sim.inject(faults.status(500), path=".mp4", times=4)
    outcome = submit_and_end(sim, output_path=f"file://{folder}/", **mode)
    assert outcome.end("make") == ("success", 2)
    assert prompts(sim) == ["a cat"]
    assert len(posts(sim)) == 1
    assert len(list(folder.iterdir())) == 1


def test_a_download_that_keeps_failing_says_what_is_left_to_do(sim, folder, logged):
    sim.inject(faults.status(500), path=".mp4", times=None)
    outcome = submit_and_end(sim, output_path=f"file://{folder}/")
    assert outcome.end("make") == ("failed", 2)
    text = logged()
    assert "the result is there and paid for, but not stored" in text
    assert "A retry only stores it, and so does a clear." in text
    assert "PixverseDownloadOperator stores it, too, from the XCom 'result' of this task" in text
    assert len(posts(sim)) == 1
    assert list(folder.iterdir()) == []


def test_what_could_not_be_stored_is_stored_from_the_xcom(sim, folder):
    with new_dag("repair") as dag:
        make = PixverseSubmitOperator(
            task_id="make", payload=PROMPT, poke_interval=0.2, output_path=f"file://{folder}"
        )
        store = PixverseDownloadOperator(
            task_id="store",
            result="{{ ti.xcom_pull(task_ids='make', key='result') | tojson }}",
            output_path=f"file://{folder}",
            trigger_rule="all_done",
        )
        make >> store
    sim.inject(faults.status(500), path=".mp4", times=4)
    with ending_jobs(sim):
        outcome = run(dag)
    assert (outcome.state("make"), outcome.state("store")) == ("failed", "success")
    [stored] = folder.iterdir()
    assert outcome.xcom("store")["path"] == f"file://{stored}"
    assert len(posts(sim)) == 1


def test_timeout_of_the_download_without_a_journal_ends_the_task(sim, folder, logged, monkeypatch):
    def take_too_long(*args):
        raise AirflowTaskTimeout("execution_timeout has passed")

    monkeypatch.setattr(Download, "store", take_too_long)
    outcome = submit_and_end(sim, output_path=f"file://{folder}/", durable=False)
    assert outcome.end("make") == ("failed", 1)
    assert "the result is there and paid for, but not stored" in logged()
    assert len(posts(sim)) == 1


def test_nothing_is_submitted_where_nothing_can_be_stored(sim, locked, bucket, logged):
    said = {
        locked: "cannot be written to: ",
        f"{bucket.url}-missing": "cannot be written",
        "s3://no_such@bucket": "connection 'no_such' is not defined",
        "blub://bucket": "blub://bucket cannot be used",
    }
    for path, words in said.items():
        assert submit(output_path=path, retries=0).state("make") == "failed"
        assert words in logged()
    assert posts(sim) == []


def test_nothing_is_submitted_after_a_wait_in_the_triggerer(sim, locked):
    assert submit(output_path=locked, deferrable=True).state("make") == "failed"
    assert posts(sim) == []


class BeginsInTriggerer(PixverseSubmitOperator):
    """Begins as Airflow begins it with ``start_from_trigger``, which ``dag.test()`` does not do."""

    def execute(self, context):
        how = self.start_trigger_args
        self.defer(trigger=PixverseCapacityTrigger(**how.trigger_kwargs), method_name=how.next_method)


@pytest.mark.skipif(not CAN_START_FROM_TRIGGER, reason="every wait begins on a worker here")
def test_nothing_is_submitted_where_the_wait_began_in_the_triggerer_either(sim, locked, logged):
    with new_dag("begins") as dag:
        BeginsInTriggerer(
            task_id="make", payload=PROMPT, poke_interval=0.2, output_path=locked, start_from_trigger=True
        )
    assert run(dag).state("make") == "failed"
    assert posts(sim) == []
    assert "cannot be written to" in logged()


@pytest.mark.parametrize(
    "wrong",
    [{"output_path": "{{ 'nowhere' }}"}, {"file_name": "{{ '../x' }}", "output_path": "file:///tmp/x"}],
)
def test_a_rendered_parameter_that_cannot_be_used_fails_without_retry(sim, wrong, logged):
    assert submit(**wrong).end("make") == ("failed", 1)
    assert posts(sim) == []
    assert f"{next(iter(wrong))} must be" in logged()


@ended_by_hand
def test_a_folder_that_goes_away_in_between_costs_nothing(sim, tmp_path, logged):
    folder = tmp_path / "results"
    spoiled = []

    def spoil():
        sim.wait_for_submitted(1)
        folder.rmdir()
        folder.write_bytes(b"")
        spoiled.append(folder)
        sim.end_all_jobs()

    with elsewhere(spoil):
        outcome = submit(output_path=f"file://{folder}")
    assert spoiled
    assert outcome.state("make") == "failed"
    assert len(posts(sim)) == 1
    assert "PixverseDownloadOperator stores it, too" in logged()


def test_what_is_not_durable_fails_without_retry_since_that_would_pay_again(sim, folder, logged):
    sim.inject(faults.status(500), path=".mp4", times=None)
    outcome = submit_and_end(sim, output_path=f"file://{folder}/", durable=False)
    assert outcome.end("make") == ("failed", 1)
    assert len(posts(sim)) == 1
    assert "answered 500. PixverseDownloadOperator stores it, too" in logged(), "and no word of a retry"


@pytest.mark.parametrize("end", ["failed", "moderated"])
def test_a_job_without_a_result_stores_nothing(sim, end, folder):
    outcome = submit_and_end(sim, end, output_path=f"file://{folder}/")
    assert outcome.end("make") == ("failed", 1)
    assert downloads(sim) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("file_name", ["{type}-{number}.{ext}", "fox.{ext}"])
def test_several_images_have_names_of_their_own(sim, folder, file_name):
    with ending_jobs(sim, n=3):
        outcome = submit(
            endpoint="images/create",
            payload=PROMPT | {"create_count": 3},
            output_path=f"file://{folder}",
            file_name=file_name,
        )
    assert outcome.state("make") == "success"
    results = outcome.xcom("make")
    assert {result["path"] for result in results} == {f"file://{one}" for one in folder.iterdir()}
    assert len(list(folder.iterdir())) == 3
    for result in results:
        assert result["path"].endswith(".webp")
        assert result["sha256"] == sim.media_sha256(result["id"])


@ended_by_hand
def test_of_several_images_those_that_are_there_are_stored(sim, folder):
    def end():
        sim.wait_for_submitted(2)
        one, other = sim.submitted()
        sim.end_job(one.id, "moderated")
        sim.end_job(other.id)

    with elsewhere(end):
        outcome = submit(
            endpoint="images/create", payload=PROMPT | {"create_count": 2}, output_path=f"file://{folder}"
        )
    refused, there = outcome.xcom("make")
    [stored] = folder.iterdir()
    assert there["path"] == f"file://{stored}"
    assert "sha256" not in refused


def test_a_link_that_has_expired_is_asked_for_again(sim, mode, folder):
    sim.link_seconds = 3600
    sim.inject(faults.status(403), path=".mp4")
    with ending_jobs(sim):
        # The first answer is that of a link that has expired; asking again gives another one.
        outcome = submit(output_path=f"file://{folder}", **mode)
    assert outcome.end("make") == ("success", 1)
    assert [request.status for request in downloads(sim)] == [403, 200]


def test_results_in_this_network_are_refused_unless_that_is_allowed(sim, folder, monkeypatch, logged):
    connection = sim.connection | {"extra": "{}"}
    monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", json.dumps(connection))
    outcome = submit_and_end(sim, output_path=f"file://{folder}")
    assert outcome.state("make") == "failed"
    assert downloads(sim) == []
    assert len(posts(sim)) == 1
    assert "set allow_private_results in the extra of the connection" in logged()


def test_a_result_that_is_too_large_is_not_stored(sim, folder, logged):
    sim.media_bytes = 100_000
    outcome = submit_and_end(sim, output_path=f"file://{folder}", max_bytes=99_999)
    assert outcome.state("make") == "failed"
    assert "has more than max_bytes=99999 bytes" in logged()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content_type", ["application/problem+json", "application/octet-stream"])
def test_an_error_in_place_of_the_video_is_not_stored(sim, folder, content_type):
    problem = faults.status(200, {"title": "try again", "status": 503}, content_type=content_type)
    sim.inject(problem, path=".mp4", times=4)
    outcome = submit_and_end(sim, output_path=f"file://{folder}")
    assert outcome.end("make") == ("success", 2)
    [stored] = folder.iterdir()
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == sim.media_sha256(sim.submitted()[0].id)
    assert len(posts(sim)) == 1


def test_an_output_path_without_a_wait_for_the_result_is_refused_when_the_dag_is_read():
    with pytest.raises(ValueError, match="output_path needs wait_for_completion"):
        submit(output_path="file:///tmp/x", wait_for_completion=False)


# The sensor


@pytest.mark.parametrize("how", MODES.values(), ids=MODES)
def test_the_sensor_stores_what_it_has_waited_for_and_a_retry_only_stores_it(sim, how, folder):
    job_id = sim.start_job(seconds=0.5)
    sim.inject(faults.status(500), path=".mp4", times=4)
    outcome = sensors.wait(PixverseJobSensor, how, job_id=job_id, output_path=f"file://{folder}")
    assert outcome.end("wait") == ("success", 2)
    [stored] = folder.iterdir()
    result = outcome.xcom("wait")
    assert result["path"] == f"file://{stored}"
    assert result["sha256"] == sim.media_sha256(job_id)
    assert posts(sim) == []
