"""XComs of a submit that fails: they tell what has become of the job, for whoever writes it down."""

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.simulator import faults
from airflow_pixverse.submission import delivery
from tests.helpers.dag_runs import new_dag, run
from tests.helpers.submits import ended_by_hand, ending_jobs, submitting


def failure_of(dag):
    """Return the XComs that a task after the one that fails pulls of it."""
    with dag:

        @task(trigger_rule="all_done")
        def pull(ti):
            return list(ti.xcom_pull(task_ids=["make"], key="failure"))

        dag.get_task("make") >> pull()
    outcome = run(dag)
    assert set(outcome.states["make"]) <= {"failed", "success"}
    return [failure for failure in outcome.xcom("pull") if failure]


def test_failure_of_a_refused_submit_says_not_submitted(sim):
    sim.set_fate("a cat", "refused")
    [failure] = failure_of(submitting())
    assert (failure["status"], failure["job_ids"]) == ("not submitted", [])
    assert "422" in failure["reason"]


def test_a_payload_that_cannot_be_used_was_not_submitted(sim):
    [failure] = failure_of(submitting(payload="{{ 'no payload' }}"))
    assert failure["status"] == "not submitted"
    assert "payload must be an object" in failure["reason"]


@pytest.mark.parametrize("end", ["failed", "moderated"])
def test_a_job_that_ends_without_a_result_says_how(sim, end):
    sim.set_credits("a-1@example.com", 100)
    sim.set_credits("a-2@example.com", 100)
    with ending_jobs(sim, end):
        [failure] = failure_of(submitting())
    [job] = sim.submitted()
    assert failure["status"] == end
    assert failure["job_ids"] == [job.id]
    assert failure["cost_credits"] == 20


@ended_by_hand
def test_a_job_that_takes_too_long_is_accepted_and_has_its_cost(sim, mode):
    sim.set_credits("a-1@example.com", 100)
    sim.set_credits("a-2@example.com", 100)
    [failure] = failure_of(submitting(completion_timeout=0.5, retries=0, **mode))
    [job] = sim.submitted()
    assert (failure["status"], failure["job_ids"]) == ("accepted", [job.id])
    assert failure["cost_credits"] == 20


def test_a_job_of_which_nobody_knows_is_unknown(sim, dying):
    dying("before")
    [failure] = failure_of(submitting())
    assert failure["status"] == "unknown"
    assert "It cannot be known" in failure["reason"]


@pytest.mark.parametrize("durable", [True, False])
def test_a_job_whose_result_is_not_stored_is_accepted(sim, durable, tmp_path, monkeypatch):
    sim.inject(faults.status(500), path=".mp4", times=None)
    with ending_jobs(sim):
        [failure] = failure_of(submitting(output_path=f"file://{tmp_path}", durable=durable))
    [job] = sim.submitted()
    assert (failure["status"], failure["job_ids"]) == ("accepted", [job.id])


def test_failure_of_a_task_without_a_journal_does_not_say_not_submitted(sim, dying):
    dying("after")
    [failure] = failure_of(submitting(durable=False, retries=0))
    assert len(sim.submitted()) == 1
    assert failure["status"] == "unknown"


def test_task_whose_failure_cannot_be_pushed_ends_as_it_would_have(sim, monkeypatch, logged):
    def fail(*_):
        raise RuntimeError("no XComs today")

    monkeypatch.setattr(delivery, "failure_of", fail)
    sim.set_fate("a cat", "refused")
    outcome = run(submitting())
    assert outcome.end("make") == ("failed", 1), "it is not retried"
    text = logged()
    assert "422" in text
    assert "Could not push the XCom 'failure': no XComs today" in text


def test_failure_of_a_mapped_task_names_its_instance(sim):
    for prompt in ("a fox", "an owl"):
        sim.set_fate(prompt, "refused")
    with new_dag("mapped") as dag:
        payloads = [{"prompt": prompt} for prompt in ("a fox", "a hare", "an owl")]
        defaults = {"poke_interval": 0.2, "wait_for_completion": False}
        PixverseSubmitOperator.partial(task_id="make", **defaults).expand(payload=payloads)
    assert sorted(failure["map_index"] for failure in failure_of(dag)) == [0, 2]
