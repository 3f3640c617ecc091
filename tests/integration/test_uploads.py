"""Inputs in object storage, inside Airflow: uploaded before the submit, once a DAG run."""

import csv
import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath, task
from airflow.serialization import serialized_objects

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.simulator import Simulator, faults
from tests.helpers.dag_runs import new_dag, run
from tests.helpers.submits import (
    PICTURE,
    PROMPT,
    ending_jobs,
    posts,
    run_function,
    submit,
    submit_and_end,
    submit_mapped,
)


def beginning_with(path):
    """The payload of a video whose first picture is a file."""
    return PROMPT | {"first_frame_path": path}


def sent(sim):
    """Return the payload that was submitted, without what the operator adds."""
    added = {"replyRef", "seed", "email"}
    return [{key: value for key, value in job.payload.items() if key not in added} for job in sim.submitted()]


def uploads(sim):
    """The requests that upload, whatever became of them."""
    return [request for request in posts(sim) if request.path.endswith("files/")]


def submits(sim):
    return [request for request in posts(sim) if not request.path.endswith("files/")]


# Files that are uploaded


def test_a_file_is_uploaded_first_and_named_in_what_is_submitted(sim, picture):
    outcome = submit_and_end(sim, payload=beginning_with(picture))
    assert outcome.state("make") == "success"
    [upload] = sim.uploads
    assert (upload.sha256, upload.content_type) == (hashlib.sha256(PICTURE).hexdigest(), "image/png")
    assert sent(sim) == [beginning_with(upload.path)]


def test_files_in_a_bucket_are_uploaded_wherever_they_are_in_the_payload(sim, bucket):
    first, second, third = (bucket.put(f"{n}.png", PICTURE + bytes([n])) for n in range(3))
    payload = {
        "prompt": "a cat",
        "first_frame_path": first,
        "images": [ObjectStoragePath(second), "upload/0.png"],
        "more": [{"image_url": ObjectStoragePath(third)}, {"image_path_1": first}],
    }
    assert submit_and_end(sim, payload=payload).state("make") == "success"
    paths = {upload.sha256: upload for upload in sim.uploads}
    one, two, three = (paths[hashlib.sha256(PICTURE + bytes([n])).hexdigest()] for n in range(3))
    assert sent(sim) == [
        {
            "prompt": "a cat",
            "first_frame_path": one.path,
            "images": [two.path, "upload/0.png"],
            "more": [
                {"image_url": three.path if three.url is None else three.url},
                {"image_path_1": one.path},
            ],
        }
    ]
    assert len(sim.uploads) == 3, "one of them is named twice"


@pytest.mark.pixverse_simulator(job_seconds=(0.2, 0.2))
def test_file_is_uploaded_wherever_its_path_comes_from(sim, tmp_path, picture):
    # A row of a CSV file may have blanks after its commas.
    (tmp_path / "prompts.csv").write_text(f"prompt,first_frame_path\na cat, {picture}\n")
    template = picture.replace("a.png", "{{ 'a' }}.png")
    with new_dag("sources") as dag:

        @task
        def choose():
            return beginning_with(ObjectStoragePath(picture))

        @task
        def read_table():
            return list(csv.DictReader((tmp_path / "prompts.csv").open()))

        payloads = {
            "json": f"{{{{ '{json.dumps(beginning_with(picture))}' }}}}",
            "template": beginning_with(template),
            "template_of_path": beginning_with(ObjectStoragePath(template)),
            "chosen": choose(),
        }
        for task_id, payload in payloads.items():
            PixverseSubmitOperator(task_id=task_id, payload=payload, poke_interval=0.2)
        PixverseSubmitOperator.partial(task_id="row", poke_interval=0.2).expand(payload=read_table())
    assert run(dag).states == {task_id: ["success"] for task_id in (*payloads, "row", "choose", "read_table")}
    [upload] = sim.uploads
    assert sent(sim) == [beginning_with(upload.path)] * 5


@pytest.mark.parametrize("row", ['a cat, "{picture}"', "a cat,s3://"])
def test_a_row_whose_path_cannot_be_read_submits_nothing(sim, tmp_path, picture, row, logged):
    (tmp_path / "prompts.csv").write_text(f"prompt,first_frame_path\n{row.format(picture=picture)}\n")

    def make():
        [row] = csv.DictReader((tmp_path / "prompts.csv").open())
        return row

    assert run_function(make).end("make") == ("failed", 1)
    assert posts(sim) == []
    assert "first_frame_path must be a path such as s3://" in logged()


def test_a_function_may_return_paths(sim, mode, picture):
    def make():
        return {
            "prompt": "a cat",
            "first_frame_path": ObjectStoragePath(picture),
            "last_frame_path": picture,
        }

    with ending_jobs(sim):
        assert run_function(make, retries=0, **mode).state("make") == "success"
    [upload] = sim.uploads
    assert sent(sim) == [{"prompt": "a cat", "first_frame_path": upload.path, "last_frame_path": upload.path}]


# Once a DAG run


@pytest.mark.pixverse_simulator(job_seconds=(0.2, 0.2))
def test_a_file_is_uploaded_once_for_all_mapped_tasks_and_for_other_tasks(sim, picture):
    mode = {"deferrable": True}  # where a task also looks for its uploads once it has a slot
    with new_dag("many") as dag:
        payloads = [{"prompt": f"cat {n}", "first_frame_path": picture} for n in range(3)]
        first = PixverseSubmitOperator.partial(task_id="mapped", poke_interval=0.2, **mode).expand(
            payload=payloads
        )
        last = PixverseSubmitOperator(
            task_id="single", payload={"prompt": "last", "image_path": picture}, poke_interval=0.2, **mode
        )
        first >> last
    outcome = run(dag)
    assert outcome.states == {"mapped": ["success"] * 3, "single": ["success"]}
    [upload] = sim.uploads
    assert [payload.get("first_frame_path", payload.get("image_path")) for payload in sent(sim)] == [
        upload.path
    ] * 4


@pytest.mark.pixverse_simulator(job_seconds=(0.2, 0.2))
def test_the_next_run_uploads_it_again(sim, picture):
    for _ in range(2):
        submit(payload=beginning_with(picture))
    assert len(sim.uploads) == 2


def run_with_change(payload, change):
    """Run a DAG that submits a payload before and after a change."""
    with new_dag("changing") as dag:
        first = PixverseSubmitOperator(task_id="first", payload=payload, poke_interval=0.2)
        second = PixverseSubmitOperator(task_id="second", payload=payload, poke_interval=0.2)
        first >> task(task_id="change")(change)() >> second
    assert run(dag).state("second") == "success"


@pytest.mark.pixverse_simulator(job_seconds=(0.2, 0.2))
def test_a_file_that_changes_is_uploaded_again(sim, bucket):
    url = bucket.put("a.png", PICTURE)
    run_with_change(beginning_with(url), lambda: bucket.put("a.png", PICTURE[::-1]))  # of the same size
    assert [upload.sha256 for upload in sim.uploads] == [
        hashlib.sha256(content).hexdigest() for content in (PICTURE, PICTURE[::-1])
    ]
    assert [payload["first_frame_path"] for payload in sent(sim)] == [upload.path for upload in sim.uploads]


@pytest.mark.pixverse_simulator(job_seconds=(0.2, 0.2))
@pytest.mark.parametrize("what", ["its time", "its size"])
def test_a_file_of_this_machine_that_changes_is_uploaded_again(sim, picture, tmp_path, what):
    file = tmp_path / "a.png"
    changed = PICTURE[::-1] if what == "its time" else PICTURE * 2

    def change():
        then = file.stat().st_mtime_ns
        file.write_bytes(changed)
        os.utime(file, ns=(then, then + 10**9 if what == "its time" else then))

    run_with_change(beginning_with(picture), change)
    assert [upload.sha256 for upload in sim.uploads] == [
        hashlib.sha256(content).hexdigest() for content in (PICTURE, changed)
    ]


def test_two_files_of_one_size_and_time_are_two_files(sim, tmp_path):
    contents = {"first.png": PICTURE, "last.png": PICTURE[::-1]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (1_700_000_000, 1_700_000_000))
    with ending_jobs(sim):
        submit(
            payload={
                "prompt": "a cat",
                "first_frame_path": f"file://{tmp_path}/first.png",
                "last_frame_path": f"file://{tmp_path}/last.png",
            }
        )
    called = {upload.sha256: upload.path for upload in sim.uploads}
    first, last = (called[hashlib.sha256(content).hexdigest()] for content in contents.values())
    assert sent(sim) == [{"prompt": "a cat", "first_frame_path": first, "last_frame_path": last}]


@pytest.mark.pixverse_simulator(job_seconds=(0.2, 0.2))
def test_a_file_that_one_service_has_is_uploaded_to_another_too(sim, picture, monkeypatch):
    payload = beginning_with(picture)
    with Simulator(token="user:2-other", job_seconds=(0.2, 0.2)) as other:
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_OTHER", json.dumps(other.connection))
        with new_dag("two_services") as dag:
            first = PixverseSubmitOperator(task_id="first", payload=payload, poke_interval=0.2)
            second = PixverseSubmitOperator(
                task_id="second", payload=payload, poke_interval=0.2, pixverse_conn_id="pixverse_other"
            )
            first >> second
        assert run(dag).state("second") == "success"
        assert len(sim.uploads) == len(other.uploads) == 1


# Trouble


def test_an_upload_that_gets_lost_is_repeated_and_the_submit_is_not(sim, picture):
    sim.inject(faults.lost_answer(), path="files/")
    assert submit_and_end(sim, payload=beginning_with(picture)).state("make") == "success"
    assert len(uploads(sim)) == 2
    assert len(submits(sim)) == 1


def test_what_is_accepted_is_waited_for_and_nothing_is_uploaded_again(sim, picture, dying):
    dying("after")
    outcome = submit_and_end(sim, payload=beginning_with(picture))
    assert outcome.end("make") == ("success", 2)
    assert len(uploads(sim)) == len(submits(sim)) == 1


def test_an_accepted_job_is_waited_for_although_its_input_is_gone(sim, picture, tmp_path, dying):
    dying("after", then=(tmp_path / "a.png").unlink)
    outcome = submit_and_end(sim, payload=beginning_with(picture))
    assert outcome.end("make") == ("success", 2)


def test_a_retry_after_a_failed_download_compares_the_payload_as_it_was_given(sim, picture, tmp_path):
    payload = beginning_with(picture)
    sim.inject(faults.status(403), path=".mp4", times=None)
    with ending_jobs(sim):
        outcome = submit_mapped({"payload": [payload]}, output_path=f"file://{tmp_path}/results")
    assert outcome.tries["make"] == [2], "with another payload, it would fail without retry"
    assert len(uploads(sim)) == len(submits(sim)) == 1


def test_object_that_is_not_there_is_named_and_nothing_is_submitted(sim, bucket, logged):
    assert submit(payload=beginning_with(f"{bucket.url}/none.png")).end("make") == ("failed", 2)
    assert "cannot be read: FileNotFoundError" in logged()
    assert posts(sim) == []


@pytest.mark.parametrize(
    ("name", "content", "tries", "words"),
    [
        ("none.png", None, 2, "cannot be read: FileNotFoundError"),
        ("", None, 2, "cannot be read: it is no file"),
        ("empty.png", b"", 1, "a file must have 1 to"),
        ("notes.txt", b"x", 2, "neither its content type nor the end of its name says"),
        ("noend", b"x", 2, "neither its content type nor the end of its name says"),
    ],
    ids=["missing", "folder", "empty", "text", "no end"],
)
def test_file_that_cannot_be_uploaded_is_named_and_nothing_is_submitted(
    *, sim, tmp_path, name, content, tries, words, logged
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    path = f"file://{tmp_path}/{name}".rstrip("/")
    assert submit(payload=beginning_with(path)).end("make") == ("failed", tries)
    text = logged()
    assert path in text
    assert words in text
    assert posts(sim) == []


def test_a_refused_upload_fails_without_retry(sim, picture, logged):
    sim.inject(faults.status(401), path="files/", times=None)
    outcome = submit(payload=beginning_with(picture))
    assert outcome.end("make") == ("failed", 1)
    text = logged()
    assert f"{picture} cannot be uploaded: " in text
    assert "POST files/ answered 401" in text
    assert submits(sim) == []


@pytest.mark.parametrize("to", [PICTURE * 2, PICTURE[::-1]], ids=["longer", "different"])
def test_file_that_changes_during_its_upload_is_not_submitted(sim, picture, to, monkeypatch, logged):
    upload = PixverseClient.upload

    def change_and_upload(*args, **kwargs):
        file = Path(picture.removeprefix("file://"))
        file.write_bytes(to)
        os.utime(file, (0, 0))
        return upload(*args, **kwargs)

    monkeypatch.setattr(PixverseClient, "upload", change_and_upload)
    outcome = submit(payload=beginning_with(picture), retries=0)
    assert outcome.state("make") == "failed"
    assert f"{picture} cannot be uploaded: it has changed meanwhile" in logged()
    assert submits(sim) == []


def test_a_path_that_cannot_be_used_is_refused_when_the_dag_is_read():
    with pytest.raises(ValueError, match="first_frame_path must be a path such as"):
        submit(payload=beginning_with("s3://bucket/*.png"))


def test_a_wait_that_began_in_the_trigger_ends_without_retry_if_the_payload_cannot_be_used(sim):
    with new_dag("began_in_trigger"):
        make = PixverseSubmitOperator(task_id="make", payload="{{ 'no object' }}", durable=False)
    make.payload = "no object"  # as it is rendered
    instance = {"dag_id": "began_in_trigger", "run_id": "run", "task_id": "make", "map_index": -1}
    ti = SimpleNamespace(**instance, try_number=1, max_tries=0, xcom_push=lambda **_: None)
    context = {"ti": ti, "dag_run": SimpleNamespace(id=1)}
    ticket = {"reference": "r", "lease": 0}
    with pytest.raises(AirflowFailException, match="payload must be an object"):
        make.execute_complete(context, {"status": "success", "accounts": [], "ticket": ticket})


def test_a_dag_with_a_path_in_a_payload_can_be_written_to_the_database(picture):
    # Airflow 3.2 gave it another name.
    serialized_dag = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
    with new_dag("written") as dag:
        PixverseSubmitOperator(
            task_id="make", payload={"prompt": "a cat", "frame": ObjectStoragePath(picture)}
        )
        PixverseSubmitOperator.partial(task_id="mapped").expand(
            payload=[{"prompt": "a cat", "frame": ObjectStoragePath(picture)}]
        )
    first = json.dumps(serialized_dag.to_dict(dag), sort_keys=True)
    assert "make" in first
    assert json.dumps(serialized_dag.to_dict(dag), sort_keys=True) == first
