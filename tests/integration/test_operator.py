"""PixverseListExecutingOperator inside Airflow."""

from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_pixverse.operators.pixverse import PixverseListExecutingOperator
from airflow_pixverse.simulator import faults
from tests.integration.dag_runs import new_dag, run


def listed(**kwargs):
    with new_dag("list_executing", params={"types": ["image"], "age": 60}) as dag:
        PixverseListExecutingOperator(task_id="list", **kwargs)
    return run(dag)


@pytest.fixture
def jobs(sim):
    """A video of two hours, an image of one, and a video of a minute, by name."""
    now = datetime.now(UTC)
    return {
        "new": sim.start_job("a-1@example.com", started=now - timedelta(minutes=1)),
        "old": sim.start_job("a-2@example.com", started=now - timedelta(hours=2)),
        "image": sim.start_job("a-1@example.com", type="image", started=now - timedelta(hours=1)),
    }


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({}, ["old", "image", "new"]),
        ({"job_types": "video"}, ["old", "new"]),
        ({"job_types": ["IMAGE", "music"]}, ["image"]),
        ({"emails": "A-1@example.com"}, ["image", "new"]),
        ({"older_than": timedelta(minutes=30)}, ["old", "image"]),
        ({"older_than": 90 * 60}, ["old"]),
        ({"older_than": "{{ 70 * params.age }}"}, ["old"]),
        ({"job_types": "{{ params.types }}"}, ["image"]),
        ({"emails": ["{{ 'a-2@example.com' }}"], "job_types": "image"}, []),
    ],
)
def test_the_chosen_jobs_are_in_the_xcom_oldest_first(jobs, parameters, names):
    outcome = listed(**parameters)
    assert outcome.state("list") == "success"
    assert [job["id"] for job in outcome.xcom("list")] == [jobs[name] for name in names]


def test_a_job_whose_age_is_not_known_comes_last_and_is_not_older_than_anything(sim):
    sim.respond_with("scheduler/", [{"id": "unknown"}, {"id": "known", "elapsed": "00:05"}])
    assert [job["id"] for job in listed().xcom("list")] == ["known", "unknown"]
    assert [job["id"] for job in listed(older_than=1).xcom("list")] == ["known"]


def test_the_xcom_feeds_mapped_tasks_downstream(jobs):
    with new_dag("map_executing") as dag:

        @task
        def describe(job):
            return f"{job['type']} of {job['email']}"

        describe.expand(job=PixverseListExecutingOperator(task_id="list").output)
    outcome = run(dag)
    assert outcome.xcoms["describe"] == [
        "video of a-2@example.com",
        "image of a-1@example.com",
        "video of a-1@example.com",
    ]


def test_it_warns_of_emails_and_types_that_match_nothing(jobs, logged):
    assert listed(emails=["typo@example.com", "A-1@example.com"], job_types=["video", "vidoe"]).xcom("list")
    log = logged()
    assert "No job being executed matches emails=['typo@example.com']" in log
    assert "No job being executed matches job_types=['vidoe']" in log


def test_a_fatal_error_fails_it_without_retry(sim):
    sim.token = "user:2-rotated"
    outcome = listed(retries=2, retry_delay=0)
    assert outcome.state("list") == "failed"
    assert sim.request_count == 1


def test_a_missing_connection_fails_it_without_retry():
    outcome = listed(pixverse_conn_id="nowhere", retries=2, retry_delay=0)
    assert outcome.state("list") == "failed"
    assert outcome.tries["list"] == [1]


def test_transient_trouble_is_left_to_the_retries_of_the_task(sim):
    sim.inject(faults.status(400), times=1, path="nothing")
    sim.inject(faults.broken_json(), times=4)  # the client itself asks four times
    outcome = listed(retries=1, retry_delay=0)
    assert outcome.state("list") == "success"
    assert outcome.tries["list"] == [2]


@pytest.mark.parametrize(
    "parameters", [{"older_than": "{{ -1 }}"}, {"emails": "{{ '' }}"}, {"job_types": ["{{ '' }}"]}]
)
def test_a_bad_rendered_value_fails_it_without_retry(sim, parameters):
    outcome = listed(**parameters, retries=2, retry_delay=0)
    assert outcome.state("list") == "failed"
    assert outcome.tries["list"] == [1]
    assert sim.request_count == 0
