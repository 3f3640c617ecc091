"""Paths: those that are accepted, and the messages for others."""

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_pixverse.storage.errors import StorageError
from airflow_pixverse.storage.paths import (
    connection_of,
    is_storage_uri,
    object_path,
    parse_optional_storage_uri,
    parse_storage_uri,
)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket",
        "s3://bucket/",
        "s3://conn@bucket/a b/\u00fc.png",
        "gs://bucket/a.png",
        "file:///tmp/a",
        "file://conn@/tmp/a",
        "abfss://c@account/a",
        "S3://bucket/a",
        "s3://bucket/a#b",
    ],
)
def test_the_address_of_something_in_object_storage_is_taken_as_it_is(uri):
    assert is_storage_uri(uri)
    assert parse_storage_uri(uri, "output_path") == uri
    assert parse_optional_storage_uri(uri, "output_path") == uri


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bucket/a",
        "/tmp/a",
        "upload/1.png",
        "https://example.com/a.png",
        "HTTP://example.com/a.png",
        "s3://",
        "s3:///",
        "s3:///folder/a",
        "gs://conn@/folder/a",
        "file:///",
        "file://",
        "file://tmp/a",
        "local://tmp/a",
        "FILE://conn@tmp/a",
        "s3:/bucket/a",
        "://bucket",
        " s3://bucket",
        "s3://bucket/a\nb",
        "s3://bucket/*.png",
        "s3://bucket/a?",
        "s3://bucket/[a]",
        None,
        5,
        {"a": "b"},
        b"s3://bucket/a",
    ],
)
def test_anything_else_is_refused_by_the_name_of_the_parameter(value):
    with pytest.raises(
        ValueError, match=r"^output_path must be a path such as s3://bucket/folder/ or file:///"
    ):
        parse_storage_uri(value, "output_path")


def test_none_may_stay_none():
    assert parse_optional_storage_uri(None, "output_path") is None


def test_a_path_of_airflow_keeps_its_connection(bucket):
    path = ObjectStoragePath(f"{bucket.url}/a")
    assert parse_storage_uri(path, "output_path") == f"{bucket.url}/a"
    assert connection_of(path) == "object_store"
    assert connection_of(object_path(f"{bucket.url}/a/b")) == "object_store"


def test_a_path_without_a_connection_has_none(tmp_path):
    assert connection_of(object_path(f"file://{tmp_path}")) is None


def test_a_path_of_this_machine_needs_its_scheme(tmp_path):
    with pytest.raises(ValueError, match="output_path must be a path such as"):
        parse_storage_uri(ObjectStoragePath(str(tmp_path)), "output_path")
    assert parse_storage_uri(ObjectStoragePath(f"file://{tmp_path}"), "output_path") == f"file://{tmp_path}"


def test_a_connection_that_is_not_defined_is_named(airflow_db):
    with pytest.raises(
        StorageError, match=r"^s3://no_such@bucket/a cannot be used: connection 'no_such' is not"
    ):
        object_path("s3://no_such@bucket/a")


def test_a_scheme_that_nothing_is_installed_for_is_named():
    with pytest.raises(StorageError, match=r"^blub://bucket/a cannot be used: ValueError: .*blub"):
        object_path("blub://bucket/a")
