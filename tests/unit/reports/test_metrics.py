"""Metrics of jobs: one for each event, tagged with the type of the job."""

import pytest
from airflow.providers.common.compat.sdk import Stats

from airflow_pixverse.api.results import RESULT
from airflow_pixverse.reports.metrics import count, count_finished


def job_of(kind):
    return f"user:1-pixverse:mary@example.com-{kind}:3"


@pytest.fixture
def counted(monkeypatch):
    """Collect the names and the types of what is counted."""
    events = []
    monkeypatch.setattr(Stats, "incr", lambda name, *, tags: events.append((name, tags["type"])))
    return events


@pytest.mark.parametrize(
    ("endpoint", "job_id", "kind"),
    [
        ("videos/create", job_of("image"), "image"),
        ("images/create", job_of("avatar"), "image"),
        ("music/create", "odd", "music"),
        ("speech/create", None, "speech"),
        ("avatars/create", None, "unknown"),
    ],
)
def test_event_is_counted_by_the_type_in_the_id_or_of_the_endpoint(counted, endpoint, job_id, kind):
    count("submitted", endpoint, job_id)
    assert counted == [("pixverse.jobs.submitted", kind)]


def test_finished_jobs_are_counted_each_by_its_end(counted):
    bodies = [
        {"video_status": 1, "url": "https://media.example.com/1.mp4"},
        {"video_status": 8},
        {"video_status": 7},
        {"video_status": 5},
    ]
    context = {"kind": "video", "id": job_of("video")}
    count_finished([RESULT.validate_python(body, context=context) for body in bodies], "videos/create")
    assert counted == [(f"pixverse.jobs.{end}", "video") for end in ("completed", "failed", "moderated")]
