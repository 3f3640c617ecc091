"""Lineage: the datasets that OpenLineage is told of."""

import pytest

from airflow_pixverse.storage.lineage import operator_lineage


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("s3://bucket/a/b.mp4", "s3://bucket", "a/b.mp4"),
        ("s3://store@bucket/a b/\u00fc.mp4", "s3://bucket", "a b/\u00fc.mp4"),
        ("s3://bucket/a#b.mp4", "s3://bucket", "a#b.mp4"),
        ("s3://bucket/a@b.mp4", "s3://bucket", "a@b.mp4"),
        ("gs://bucket/a.mp4", "gs://bucket", "a.mp4"),
        ("s3://bucket", "s3://bucket", "/"),
        ("file:///data/a.mp4", "file", "/data/a.mp4"),
        ("file:///data/a#b.mp4", "file", "/data/a#b.mp4"),
        ("file://conn@/data/a.mp4", "file", "/data/a.mp4"),
    ],
)
def test_a_file_has_the_names_that_openlineage_gives_it(uri, namespace, name):
    [dataset] = operator_lineage([], [uri]).outputs
    assert (dataset.namespace, dataset.name) == (namespace, name)


def test_each_file_is_told_once():
    lineage = operator_lineage(["s3://b/1", "s3://b/2", "s3://b/1"], [])
    assert [dataset.name for dataset in lineage.inputs] == ["1", "2"]
    assert lineage.outputs == []
