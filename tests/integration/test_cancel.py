"""PixverseCancelOperator inside Airflow."""

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import task

from airflow_pixverse.operators.pixverse import PixverseCancelOperator, PixverseListExecutingOperator
from airflow_pixverse.simulator import faults
from tests.helpers.dag_runs import new_dag, run

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


def test_cancel_operator_sends_the_id_as_it_is_and_frees_the_slot(sim, logged):
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


def test_cancel_operator_renders_a_template_of_the_id(sim):
    job = sim.start_job()
    assert cancelled("{{ params.job }}\n", params={"job": job}).xcom("cancel") is True


def test_cancel_operator_takes_the_id_from_the_xcom_of_another_task(sim):
    job = sim.start_job()
    with new_dag("cancel_xcom") as dag:

        @task
        def submitted():
            return job

        PixverseCancelOperator(task_id="cancel", job_id=submitted())
    assert run(dag).xcom("cancel") is True


def test_cancel_operator_maps_over_the_jobs_that_are_listed(sim):
    hours_ago = datetime.now(UTC) - timedelta(hours=2)
    old = [sim.start_job(started=hours_ago), sim.start_job(type="image", started=hours_ago)]
    sim.start_job()
    with new_dag("cancel_listed") as dag:
        listed = PixverseListExecutingOperator(task_id="list", older_than=timedelta(hours=1))
        PixverseCancelOperator.partial(task_id="cancel").expand(job_id=listed.output)
    assert run(dag).xcoms["cancel"] == [True, True]
    assert sorted(path.rpartition("/")[2] for _, path in sent(sim)) == sorted(old)


def test_cancel_operator_takes_an_item_of_the_list_that_a_template_chooses(sim):
    sim.start_job()
    with new_dag("cancel_item") as dag:
        listed = PixverseListExecutingOperator(task_id="list")
        for task_id, field in {"cancel": "['id']", "cancel_again": ""}.items():
            template = f"{{{{ ti.xcom_pull(task_ids='list')[0]{field} }}}}"
            listed >> PixverseCancelOperator(task_id=task_id, job_id=template)
    outcome = run(dag)
    assert sorted([outcome.xcom("cancel"), outcome.xcom("cancel_again")]) == [False, True]


def test_cancel_operator_maps_over_ids(sim):
    jobs = [sim.start_job(), GONE]
    assert mapped_over(jobs).xcoms["cancel"] == [True, False]


def test_cancel_operator_whose_template_renders_to_no_id_fails_without_retry(sim, logged):
    rendered = [
        "{{ '' }}",
        "{{ params.job }}/../available",
        "{{ 'a\\nb' }}",
        "{{ none }}",
        {"id": "{{ '?' }}"},
    ]
    with new_dag("cancel_wrong", params={"job": "user:1"}) as dag:
        for number, job_id in enumerate(rendered):
            PixverseCancelOperator(task_id=f"cancel_{number}", job_id=job_id, retries=2, retry_delay=0)
    outcome = run(dag)
    assert outcome.states == {task_id: ["failed"] for task_id in outcome.states}
    assert list(outcome.tries.values()) == [[1]] * len(rendered)
    assert logged().count("job_id must be the id of a job") >= len(rendered)
    assert sim.request_count == 0


def test_cancel_operator_mapped_over_what_is_no_id_fails_without_retry(sim, logged):
    outcome = mapped_over(["", "a/b", {"id": None}, 7], retries=2, retry_delay=0)
    assert (outcome.states["cancel"], outcome.tries["cancel"]) == (["failed"] * 4, [1] * 4)
    assert logged().count("job_id must be the id of a job") >= 4
    assert sim.request_count == 0


def test_cancel_operator_at_a_transient_error_is_retried(sim):
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
