"""Inputs in object storage, inside Airflow: uploaded before the submit, once a DAG run."""

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath, task
from airflow.serialization import serialized_objects
from fsspec.implementations.local import LocalFileSystem
from s3fs.core import S3File

from airflow_pixverse.api.client import PixverseClient
from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.simulator import Simulator, faults
from airflow_pixverse.storage.errors import StorageError
from tests.integration.dag_runs import new_dag, run
from tests.integration.submits import ending_jobs, posts, submit

PICTURE = b"\x89PNG a picture"


@pytest.fixture(autouse=True)
def _minutes_are_short(short_minutes):
    """No test here waits as long as a user would."""


@pytest.fixture
def picture(tmp_path):
    """The address of a picture on this machine."""
    (tmp_path / "a.png").write_bytes(PICTURE)
    return f"file://{tmp_path}/a.png"


def sent(sim):
    """What was submitted, without what the operator adds."""
    added = {"replyRef", "seed"}
    return [{key: value for key, value in job.payload.items() if key not in added} for job in sim.submitted()]


def uploads(sim):
    """The requests that upload, whatever became of them."""
    return [request for request in posts(sim) if request.path.endswith("files/")]


def submits(sim):
    return [request for request in posts(sim) if not request.path.endswith("files/")]


# What is uploaded


def test_a_file_is_uploaded_first_and_named_in_what_is_submitted(sim, mode, picture):
    with ending_jobs(sim):
        outcome = submit(payload={"prompt": "a cat", "first_frame_path": picture}, **mode)
    assert outcome.state("make") == "success"
    [upload] = sim.uploads
    assert (upload.sha256, upload.content_type) == (hashlib.sha256(PICTURE).hexdigest(), "image/png")
    assert sent(sim) == [{"prompt": "a cat", "first_frame_path": upload.path}]


def test_files_in_a_bucket_are_uploaded_wherever_they_are_in_the_payload(sim, bucket):
    first, second, third = (bucket.put(f"{n}.png", PICTURE + bytes([n])) for n in range(3))
    payload = {
        "prompt": "a cat",
        "first_frame_path": first,
        "images": [ObjectStoragePath(second), "upload/0.png"],
        "more": [{"image_url": ObjectStoragePath(third)}, {"image_path_1": first}],
    }
    with ending_jobs(sim):
        assert submit(payload=payload).state("make") == "success"
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


def test_a_payload_that_is_a_template_of_json_has_files(sim, picture):
    text = json.dumps({"prompt": "a cat", "first_frame_path": picture})
    with ending_jobs(sim):
        submit(payload="{{ '%s' }}" % text)  # noqa: UP031 - braces
    assert sent(sim) == [{"prompt": "a cat", "first_frame_path": sim.uploads[0].path}]


@pytest.mark.parametrize("of_airflow", [False, True], ids=["string", "ObjectStoragePath"])
def test_a_path_may_have_templates(sim, picture, of_airflow):
    uri = picture.replace("a.png", "{{ 'a' }}.png")
    payload = {"prompt": "a cat", "first_frame_path": ObjectStoragePath(uri) if of_airflow else uri}
    with ending_jobs(sim):
        assert submit(payload=payload).state("make") == "success"
    assert sent(sim) == [{"prompt": "a cat", "first_frame_path": sim.uploads[0].path}]


def test_a_path_may_come_from_another_task(sim, picture):
    with new_dag("from_task") as dag:

        @task
        def choose():
            return {"prompt": "a cat", "frame": ObjectStoragePath(picture)}

        PixverseSubmitOperator(task_id="make", payload=choose(), poke_interval=0.2)
    with ending_jobs(sim):
        assert run(dag).state("make") == "success"
    assert sent(sim) == [{"prompt": "a cat", "frame": sim.uploads[0].path}]


def test_a_function_may_return_paths(sim, mode, picture):
    with new_dag("decorated") as dag:

        @task.pixverse(poke_interval=0.2, retries=0, **mode)
        def make():
            return {
                "prompt": "a cat",
                "first_frame_path": ObjectStoragePath(picture),
                "last_frame_path": picture,
            }

        make()
    with ending_jobs(sim):
        assert run(dag).state("make") == "success"
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
        submit(payload={"prompt": "a cat", "first_frame_path": picture})
    assert len(sim.uploads) == 2


@pytest.mark.pixverse_simulator(job_seconds=(0.2, 0.2))
def test_a_file_that_changes_is_uploaded_again(sim, bucket):
    url = bucket.put("a.png", PICTURE)
    payload = {"prompt": "a cat", "first_frame_path": url}
    with new_dag("changing") as dag:

        @task
        def change():
            bucket.put("a.png", PICTURE[::-1])  # of the same size

        first = PixverseSubmitOperator(task_id="first", payload=payload, poke_interval=0.2)
        second = PixverseSubmitOperator(task_id="second", payload=payload, poke_interval=0.2)
        first >> change() >> second
    assert run(dag).state("second") == "success"
    assert [upload.sha256 for upload in sim.uploads] == [
        hashlib.sha256(content).hexdigest() for content in (PICTURE, PICTURE[::-1])
    ]
    assert [payload["first_frame_path"] for payload in sent(sim)] == [upload.path for upload in sim.uploads]


@pytest.mark.pixverse_simulator(job_seconds=(0.2, 0.2))
@pytest.mark.parametrize("what", ["its time", "its size"])
def test_a_file_of_this_machine_that_changes_is_uploaded_again(sim, picture, tmp_path, what):
    file = tmp_path / "a.png"
    changed = PICTURE[::-1] if what == "its time" else PICTURE * 2
    payload = {"prompt": "a cat", "first_frame_path": picture}
    with new_dag("changing") as dag:

        @task
        def change():
            then = file.stat().st_mtime_ns
            file.write_bytes(changed)
            os.utime(file, ns=(then, then + 10**9 if what == "its time" else then))

        first = PixverseSubmitOperator(task_id="first", payload=payload, poke_interval=0.2)
        second = PixverseSubmitOperator(task_id="second", payload=payload, poke_interval=0.2)
        first >> change() >> second
    assert run(dag).state("second") == "success"
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
    payload = {"prompt": "a cat", "first_frame_path": picture}
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
    with ending_jobs(sim):
        assert submit(payload={"prompt": "a cat", "first_frame_path": picture}).state("make") == "success"
    assert len(uploads(sim)) == 2
    assert len(submits(sim)) == 1


def test_what_is_accepted_is_waited_for_and_nothing_is_uploaded_again(sim, picture, dying):
    dying("after")
    with ending_jobs(sim):
        outcome = submit(payload={"prompt": "a cat", "first_frame_path": picture})
    assert (outcome.state("make"), outcome.tries["make"]) == ("success", [2])
    assert len(uploads(sim)) == len(submits(sim)) == 1


def test_an_accepted_job_is_waited_for_although_its_input_is_gone(sim, picture, tmp_path, dying):
    dying("after", then=(tmp_path / "a.png").unlink)
    with ending_jobs(sim):
        outcome = submit(payload={"prompt": "a cat", "first_frame_path": picture})
    assert (outcome.state("make"), outcome.tries["make"]) == ("success", [2])


def test_a_retry_after_a_failed_download_compares_the_payload_as_it_was_given(sim, mode, picture, tmp_path):
    payload = {"prompt": "a cat", "first_frame_path": picture}
    common = {
        "task_id": "make",
        "poke_interval": 0.2,
        "retries": 1,
        "retry_delay": 0,
        "output_path": f"file://{tmp_path}/results",
        **mode,
    }
    sim.inject(faults.status(403), path=".mp4", times=None)
    with new_dag("compared") as dag:
        PixverseSubmitOperator.partial(**common).expand(payload=[payload])
    with ending_jobs(sim):
        outcome = run(dag)
    assert outcome.tries["make"] == [2], "with another payload, it would fail without retry"
    assert len(uploads(sim)) == len(submits(sim)) == 1


@pytest.mark.parametrize("where", ["file", "bucket"])
def test_where_a_file_is_not_there_nothing_is_submitted(sim, where, request, tmp_path, logged):
    base = f"file://{tmp_path}" if where == "file" else request.getfixturevalue("bucket").url
    outcome = submit(payload={"prompt": "a cat", "first_frame_path": f"{base}/none.png"})
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [2])
    assert "cannot be read: FileNotFoundError" in logged()
    assert posts(sim) == []


@pytest.mark.parametrize("name", ["notes.txt", "noend"])
def test_a_file_of_another_kind_is_named_and_nothing_is_submitted(sim, name, tmp_path, logged):
    (tmp_path / name).write_bytes(b"x")
    outcome = submit(payload={"prompt": "a cat", "first_frame_path": f"file://{tmp_path}/{name}"})
    assert outcome.state("make") == "failed"
    assert "neither its content type nor the end of its name says" in logged()
    assert posts(sim) == []


def test_an_empty_file_is_refused(sim, tmp_path, logged):
    (tmp_path / "a.png").write_bytes(b"")
    outcome = submit(payload={"prompt": "a cat", "first_frame_path": f"file://{tmp_path}/a.png"})
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [1])
    text = logged()
    assert f"file://{tmp_path}/a.png cannot be uploaded: " in text
    assert "a file must have 1 to" in text
    assert posts(sim) == []


def test_a_folder_is_no_file(sim, tmp_path, logged):
    outcome = submit(payload={"prompt": "a cat", "first_frame_path": f"file://{tmp_path}"})
    assert outcome.state("make") == "failed"
    assert "cannot be read: it is no file" in logged()
    assert posts(sim) == []


def test_a_refused_upload_fails_without_retry(sim, picture, logged):
    sim.inject(faults.status(401), path="files/", times=None)
    outcome = submit(payload={"prompt": "a cat", "first_frame_path": picture})
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [1])
    text = logged()
    assert f"{picture} cannot be uploaded: " in text
    assert "POST files/ answered 401" in text
    assert submits(sim) == []


@pytest.mark.parametrize("to", [PICTURE * 2, PICTURE[::-1]], ids=["longer", "different"])
def test_of_a_file_that_changes_during_the_upload_nothing_is_submitted(sim, picture, to, monkeypatch, logged):
    upload = PixverseClient.upload

    def change_and_upload(*args, **kwargs):
        file = Path(picture.removeprefix("file://"))
        file.write_bytes(to)
        os.utime(file, (0, 0))
        return upload(*args, **kwargs)

    monkeypatch.setattr(PixverseClient, "upload", change_and_upload)
    outcome = submit(payload={"prompt": "a cat", "first_frame_path": picture}, retries=0)
    assert outcome.state("make") == "failed"
    assert f"{picture} cannot be uploaded: it has changed meanwhile" in logged()
    assert submits(sim) == []


def test_a_path_that_cannot_be_used_is_refused_when_the_dag_is_read():
    with pytest.raises(ValueError, match="first_frame_path must be a path such as"):
        submit(payload={"prompt": "a cat", "first_frame_path": "s3://bucket/*.png"})


def test_a_wait_that_began_in_the_trigger_ends_without_retry_if_the_payload_cannot_be_used():
    with new_dag("began_in_trigger"):
        make = PixverseSubmitOperator(task_id="make", payload="{{ 'no object' }}", durable=False)
    make.payload = "no object"  # as it is rendered
    ti = SimpleNamespace(try_number=1, map_index=-1, xcom_push=lambda **_: None)
    ticket = {"reference": "r", "admitted_at": 0.0, "lease": 0}
    with pytest.raises(AirflowFailException, match="payload must be an object"):
        make.execute_complete({"ti": ti}, {"status": "success", "accounts": [], "ticket": ticket})


# The hook, and DAGs


def test_the_hook_uploads_and_names_what_is_not_there(sim, bucket, picture):
    hook = PixverseHook()
    for path in (bucket.put("a.png", PICTURE), ObjectStoragePath(picture)):
        upload = hook.upload(path, email="a-1@example.com")
        assert (upload.path, upload.id) == (sim.uploads[-1].path, str(len(sim.uploads)))
        assert sim.uploads[-1].sha256 == hashlib.sha256(PICTURE).hexdigest()
        assert sim.uploads[-1].email == "a-1@example.com"
    with pytest.raises(ValueError, match="path must be a path such as"):
        hook.upload("a.png")
    with pytest.raises(StorageError, match=rf"^{bucket.url}/none\.png cannot be read: FileNotFoundError: "):
        hook.upload(f"{bucket.url}/none.png")


def test_a_large_file_goes_in_blocks(sim, bucket, monkeypatch):
    content = bytes(range(256)) * 200_000
    url = bucket.put("a.mp4", content)
    asked_for = []
    fetch = S3File._fetch_range

    def watched(file, start, end):
        asked_for.append(end - start)
        return fetch(file, start, end)

    monkeypatch.setattr(S3File, "_fetch_range", watched)
    PixverseHook().upload(url)
    assert sim.uploads[0].sha256 == hashlib.sha256(content).hexdigest()
    assert sum(asked_for) == len(content), "each byte is asked for once"
    assert max(asked_for) < len(content) / 2, "it is never in memory as a whole"


def test_what_the_bucket_says_of_the_content_type_counts_more_than_the_name(sim, bucket):
    for name in ("noend", "photo.png"):
        PixverseHook().upload(bucket.put(name, PICTURE, content_type="image/webp"))
    assert [upload.content_type for upload in sim.uploads] == ["image/webp"] * 2


def test_what_googles_store_says_of_the_content_type_is_understood(sim, tmp_path, monkeypatch):
    """It has a word of its own for it; here, a folder of this machine says it."""
    (tmp_path / "noend").write_bytes(PICTURE)
    info = LocalFileSystem.info
    monkeypatch.setattr(LocalFileSystem, "info", lambda *args: info(*args) | {"contentType": "image/webp"})
    PixverseHook().upload(f"file://{tmp_path}/noend")
    assert [upload.content_type for upload in sim.uploads] == ["image/webp"]


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
