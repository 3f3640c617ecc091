"""PixverseCancelOperator inside Airflow."""

from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_pixverse.operators.pixverse import PixverseCancelOperator, PixverseListExecutingOperator
from airflow_pixverse.simulator import faults
from tests.integration.dag_runs import new_dag, run

GONE = "user:1-pixverse:a-1@example.com-video:404"


def cancelled(job_id, *, params=None, **kwargs):
    with new_dag("cancel", params=params) as dag:
        PixverseCancelOperator(task_id="cancel", job_id=job_id, **kwargs)
    return run(dag)


def sent(sim):
    """The requests that would change something, as method and path."""
    return [(one.method, one.path) for one in sim.requests if one.method != "GET"]


def mapped_over(make_ids, **kwargs):
    """Run the operator mapped over what a task returns."""
    with new_dag("cancel_mapped") as dag:

        @task
        def ids():
            return make_ids

        PixverseCancelOperator.partial(task_id="cancel", **kwargs).expand(job_id=ids())
    return run(dag)


def test_it_frees_the_slot_of_a_job_whose_id_it_sends_as_it_is(sim, logged):
    *_, job = sim.fill()
    outcome = cancelled(job)
    assert outcome.xcom("cancel") is True
    assert sim.free() == 1
    assert sent(sim) == [("DELETE", f"/v2/pixverse/scheduler/{job}")]
    assert f"Job {job} is cancelled" in logged()


def test_a_job_that_is_not_executing_is_success_and_the_log_says_so(sim, logged):
    outcome = cancelled(GONE)
    assert outcome.state("cancel") == "success"
    assert outcome.xcom("cancel") is False
    assert f"Job {GONE} is not executing" in logged()


def test_the_id_may_be_a_template(sim):
    job = sim.start_job()
    assert cancelled("{{ params.job }}\n", params={"job": job}).xcom("cancel") is True


def test_the_id_may_be_the_xcom_of_another_task(sim):
    job = sim.start_job()
    with new_dag("cancel_xcom") as dag:

        @task
        def submitted():
            return job

        PixverseCancelOperator(task_id="cancel", job_id=submitted())
    assert run(dag).xcom("cancel") is True


def test_it_maps_over_the_jobs_that_are_listed(sim):
    hours_ago = datetime.now(UTC) - timedelta(hours=2)
    old = [sim.start_job(started=hours_ago), sim.start_job(type="image", started=hours_ago)]
    sim.start_job()
    with new_dag("cancel_listed") as dag:
        listed = PixverseListExecutingOperator(task_id="list", older_than=timedelta(hours=1))
        PixverseCancelOperator.partial(task_id="cancel").expand(job_id=listed.output)
    assert run(dag).xcoms["cancel"] == [True, True]
    assert sorted(path.rpartition("/")[2] for _, path in sent(sim)) == sorted(old)


@pytest.mark.parametrize("field", ["['id']", ""])
def test_an_item_of_the_list_may_be_chosen_by_a_template(sim, field):
    sim.start_job()
    with new_dag("cancel_item") as dag:
        listed = PixverseListExecutingOperator(task_id="list")
        template = f"{{{{ ti.xcom_pull(task_ids='list')[0]{field} }}}}"
        listed >> PixverseCancelOperator(task_id="cancel", job_id=template)
    assert run(dag).xcom("cancel") is True


def test_it_maps_over_ids(sim):
    jobs = [sim.start_job(), GONE]
    assert mapped_over(jobs).xcoms["cancel"] == [True, False]


@pytest.mark.parametrize(
    "job_id",
    ["{{ '' }}", "{{ params.job }}/../available", "{{ 'a\\nb' }}", "{{ none }}", {"id": "{{ '?' }}"}],
)
def test_an_id_that_is_rendered_to_none_of_a_job_fails_it_without_retry(sim, logged, job_id):
    outcome = cancelled(job_id, params={"job": "user:1"}, retries=2, retry_delay=0)
    assert (outcome.state("cancel"), outcome.tries["cancel"]) == ("failed", [1])
    assert "job_id must be the id of a job" in logged()
    assert sim.request_count == 0


@pytest.mark.parametrize("job_id", ["", "a/b", {"id": None}, 7])
def test_an_id_that_is_mapped_and_none_of_a_job_fails_it_without_retry(sim, logged, job_id):
    outcome = mapped_over([job_id], retries=2, retry_delay=0)
    assert (outcome.states["cancel"], outcome.tries["cancel"]) == (["failed"], [1])
    assert "job_id must be the id of a job" in logged()
    assert sim.request_count == 0


def test_a_fatal_error_fails_it_without_retry(sim):
    sim.token = "user:2-rotated"
    outcome = cancelled(GONE, retries=2, retry_delay=0)
    assert (outcome.state("cancel"), outcome.tries["cancel"]) == ("failed", [1])
    assert sim.request_count == 1


def test_a_missing_connection_fails_it_without_retry(sim):
    outcome = cancelled(GONE, pixverse_conn_id="nowhere", retries=2, retry_delay=0)
    assert (outcome.state("cancel"), outcome.tries["cancel"]) == ("failed", [1])


def test_transient_trouble_is_left_to_the_retries_of_the_task(sim):
    job = sim.start_job()
    sim.inject(faults.status(503))
    outcome = cancelled(job, retries=1, retry_delay=0)
    assert (outcome.xcom("cancel"), outcome.tries["cancel"]) == (True, [2])
    assert len(sent(sim)) == 2  # one a try


def test_a_retry_after_a_lost_answer_finds_the_job_cancelled(sim):
    job = sim.start_job()
    sim.inject(faults.lost_answer())
    outcome = cancelled(job, retries=1, retry_delay=0)
    assert (outcome.state("cancel"), outcome.xcom("cancel")) == ("success", False)
    assert sim.free() == 6
