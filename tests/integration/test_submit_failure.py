"""What a submit that fails leaves in XCom: what has become of the job, for whoever writes it down."""

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_pixverse.operators.pixverse import PixverseSubmitOperator
from airflow_pixverse.simulator import faults
from tests.integration.dag_runs import new_dag, run
from tests.integration.submits import ended_by_hand, ending_jobs, submitting


@pytest.fixture(autouse=True)
def _minutes_are_short(short_minutes):
    """No test here waits as long as a user would."""


def failure_of(dag):
    """What a task after the one that fails pulls of it."""
    with dag:

        @task(trigger_rule="all_done")
        def pull(ti):
            return list(ti.xcom_pull(task_ids=["make"], key="failure"))

        dag.get_task("make") >> pull()
    outcome = run(dag)
    assert set(outcome.states["make"]) <= {"failed", "success"}
    return [failure for failure in outcome.xcom("pull") if failure]


def test_what_is_refused_was_not_submitted(sim, mode):
    sim.set_fate("a cat", "refused")
    [failure] = failure_of(submitting(**mode))
    assert (failure["status"], failure["job_ids"]) == ("not submitted", [])
    assert "422" in failure["reason"]


def test_a_payload_that_cannot_be_used_was_not_submitted(sim, mode):
    [failure] = failure_of(submitting(payload="{{ 'no payload' }}", **mode))
    assert failure["status"] == "not submitted"
    assert "payload must be an object" in failure["reason"]


@pytest.mark.parametrize("end", ["failed", "moderated"])
def test_a_job_that_ends_without_a_result_says_how(sim, mode, end):
    sim.set_credits("a-1@example.com", 100)
    sim.set_credits("a-2@example.com", 100)
    with ending_jobs(sim, end):
        [failure] = failure_of(submitting(**mode))
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


def test_a_job_of_which_nobody_knows_is_unknown(sim, mode, dying):
    dying("before")
    [failure] = failure_of(submitting(**mode))
    assert failure["status"] == "unknown"
    assert "Nobody can know" in failure["reason"]


@pytest.mark.parametrize("durable", [True, False])
def test_a_job_whose_result_is_not_stored_is_accepted(sim, mode, durable, tmp_path, monkeypatch):
    monkeypatch.setattr("airflow_pixverse.storage.download._FIRST_PAUSE", 0.0)
    sim.inject(faults.status(500), path=".mp4", times=None)
    with ending_jobs(sim):
        [failure] = failure_of(submitting(output_path=f"file://{tmp_path}", durable=durable, **mode))
    [job] = sim.submitted()
    assert (failure["status"], failure["job_ids"]) == ("accepted", [job.id])


def test_a_task_that_keeps_no_marks_does_not_say_that_nothing_was_submitted(sim, mode, dying):
    dying("after")
    [failure] = failure_of(submitting(durable=False, retries=0, **mode))
    assert len(sim.submitted()) == 1
    assert failure["status"] == "unknown"


def test_where_no_word_can_be_left_the_task_ends_as_it_would_have(sim, mode, monkeypatch, logged):
    def fail(*_):
        raise RuntimeError("no XComs today")

    monkeypatch.setattr("airflow_pixverse.operators.submit.failure_of", fail)
    sim.set_fate("a cat", "refused")
    outcome = run(submitting(**mode))
    assert (outcome.state("make"), outcome.tries["make"]) == ("failed", [1]), "it is not retried"
    text = logged()
    assert "422" in text
    assert "The XCom 'failure' could not be written: no XComs today" in text


def test_it_says_which_instance_of_a_mapped_task_it_is_of(sim):
    for prompt in ("a fox", "an owl"):
        sim.set_fate(prompt, "refused")
    with new_dag("mapped") as dag:
        payloads = [{"prompt": prompt} for prompt in ("a fox", "a hare", "an owl")]
        defaults = {"poke_interval": 0.2, "wait_for_completion": False}
        PixverseSubmitOperator.partial(task_id="make", **defaults).expand(payload=payloads)
    assert sorted(failure["map_index"] for failure in failure_of(dag)) == [0, 2]
