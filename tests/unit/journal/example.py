"""The record of a first try, which is being sent."""

from airflow_pixverse.journal import SubmitRecord

RECORD = SubmitRecord(
    state="sending",
    reference="airflow:dag/run/task/-1#4f2a",
    fingerprint="f00d",
    endpoint="videos/create",
    max_tries=3,
    try_number=1,
    sent_at="2026-01-01T00:00:00+00:00",
)
