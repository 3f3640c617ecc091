"""PixverseListExecutingOperator inside Airflow, and the errors of it and PixverseCancelOperator."""

from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_pixverse.operators.pixverse import PixverseCancelOperator, PixverseListExecutingOperator
from airflow_pixverse.simulator import faults
from tests.helpers.dag_runs import new_dag, run
from tests.integration.test_cancel import GONE


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


def listed_each(parameters, **kwargs):
    """Run a DAG with an operator for each of some parameters, and return its outcome by their number."""
    with new_dag("list_executing", params={"types": ["image"], "age": 60}) as dag:
        for number, one in enumerate(parameters):
            PixverseListExecutingOperator(task_id=f"list_{number}", **one, **kwargs)
    return run(dag)


def test_the_chosen_jobs_are_in_the_xcom_oldest_first(jobs):
    chosen = [
        ({}, ["old", "image", "new"]),
        ({"job_types": "video"}, ["old", "new"]),
        ({"job_types": ["IMAGE", "music"]}, ["image"]),
        ({"emails": "A-1@example.com"}, ["image", "new"]),
        ({"older_than": timedelta(minutes=30)}, ["old", "image"]),
        ({"older_than": 90 * 60}, ["old"]),
        ({"older_than": "{{ 70 * params.age }}"}, ["old"]),
        ({"job_types": "{{ params.types }}"}, ["image"]),
        ({"emails": ["{{ 'a-2@example.com' }}"], "job_types": "image"}, []),
    ]
    outcome = listed_each([parameters for parameters, _ in chosen])
    for number, (parameters, names) in enumerate(chosen):
        found = [job["id"] for job in outcome.xcom(f"list_{number}")]
        assert found == [jobs[name] for name in names], parameters


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


def test_list_operator_warns_of_emails_and_types_that_match_nothing(jobs, logged):
    assert listed(emails=["typo@example.com", "A-1@example.com"], job_types=["video", "vidoe"]).xcom("list")
    log = logged()
    assert "No job being executed matches emails=['typo@example.com']" in log
    assert "No job being executed matches job_types=['vidoe']" in log


def list_and_cancel(**kwargs):
    """Run a DAG with both operators that end at their first call, and return how they ended."""
    with new_dag("list_and_cancel") as dag:
        PixverseListExecutingOperator(task_id="list", retries=2, retry_delay=0, **kwargs)
        PixverseCancelOperator(task_id="cancel", job_id=GONE, retries=2, retry_delay=0, **kwargs)
    outcome = run(dag)
    return outcome.end("list"), outcome.end("cancel")


def test_operator_at_a_fatal_error_fails_without_retry(sim):
    sim.token = "user:2-rotated"
    assert list_and_cancel() == (("failed", 1), ("failed", 1))
    assert sim.request_count == 2


def test_operator_without_its_connection_fails_without_retry():
    assert list_and_cancel(pixverse_conn_id="nowhere") == (("failed", 1), ("failed", 1))


def test_list_operator_at_transient_errors_is_retried(sim):
    sim.inject(faults.status(400), times=1, path="nothing")
    sim.inject(faults.broken_json(), times=4)  # the client itself asks four times
    assert listed(retries=1, retry_delay=0).end("list") == ("success", 2)


def test_list_operator_with_a_bad_rendered_value_fails_without_retry(sim):
    bad = [{"older_than": "{{ -1 }}"}, {"emails": "{{ '' }}"}, {"job_types": ["{{ '' }}"]}]
    outcome = listed_each(bad, retries=2, retry_delay=0)
    assert [outcome.end(f"list_{number}") for number in range(3)] == [("failed", 1)] * 3
    assert sim.request_count == 0
