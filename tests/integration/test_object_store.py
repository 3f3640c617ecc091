"""The object store of the tests speaks S3 to Airflow's own ObjectStoragePath."""

import hashlib

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath, task

from tests.integration.dag_runs import new_dag, run

MEGABYTES = 2**20
# More than fits into one part of an upload, so that it goes in parts.
CONTENT = bytes(range(256)) * (12 * MEGABYTES // 256)


def test_a_task_writes_under_another_name_moves_and_reads_back(bucket):
    url = f"{bucket.url}/videos/a.mp4"
    bucket.put("videos/a.mp4", b"an older one")

    with new_dag("store") as dag:

        @task
        def store():
            final = ObjectStoragePath(url)
            part = final.with_name(f".{final.name}.part")
            with part.open("wb", block_size=5 * MEGABYTES, ContentType="video/mp4") as file:
                for start in range(0, len(CONTENT), MEGABYTES):
                    file.write(CONTENT[start : start + MEGABYTES])
            part.move(final)
            with final.open("rb") as file:
                sha256 = hashlib.sha256(file.read()).hexdigest()
            return {"path": str(final), "bytes": final.stat().st_size, "sha256": sha256}

        store()

    assert run(dag).xcom("store") == {
        "path": url,
        "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    assert bucket.keys == ["videos/a.mp4"]
    assert bucket.get("videos/a.mp4") == CONTENT
    assert bucket.content_type("videos/a.mp4") == "video/mp4"


def test_what_is_discarded_leaves_what_was_there_before(bucket):
    path = ObjectStoragePath(bucket.put("videos/a.mp4", b"an older one"))
    file = path.open("wb", block_size=5 * MEGABYTES, autocommit=False)
    file.write(CONTENT)
    assert bucket.unfinished == ["videos/a.mp4"]

    file.discard()

    assert bucket.unfinished == []
    assert bucket.get("videos/a.mp4") == b"an older one"


def test_what_another_program_wrote_has_size_and_etag(bucket):
    path = ObjectStoragePath(bucket.put("first.png", b"a picture"))

    assert path.stat().st_size == len(b"a picture")
    assert path.stat()["ETag"].strip('"') == hashlib.md5(b"a picture").hexdigest()


def test_an_object_that_is_not_there_is_a_file_that_is_not_found(bucket):
    with pytest.raises(FileNotFoundError):
        ObjectStoragePath(f"{bucket.url}/none.png").stat()
