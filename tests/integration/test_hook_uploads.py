"""PixverseHook uploads files of this machine and of a bucket."""

import hashlib

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from fsspec.implementations.local import LocalFileSystem
from s3fs.core import S3File

from airflow_pixverse.hooks.pixverse import PixverseHook
from airflow_pixverse.storage.errors import StorageError
from tests.helpers.submits import PICTURE


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
