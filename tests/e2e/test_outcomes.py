"""Ends of deferred waits that only a real Airflow shows: retries, timeouts, a triggerer that dies."""

import pytest

from airflow_pixverse.simulator import faults

FINAL, RETRIED = 1, 2


@pytest.fixture(scope="module", params=["outcomes", "outcomes_from_trigger"])
def outcome(airflow, request):
    """All the waits that end badly, side by side; begun on a worker, or in the trigger."""
    return airflow.wait_for(airflow.trigger(request.param))


@pytest.mark.parametrize(
    ("task_id", "end"),
    [
        ("bad_token", ("failed", FINAL)),
        ("bad_token_soft_fail", ("failed", FINAL)),
        ("bad_token_never_fail", ("skipped", FINAL)),
        ("timeout", ("failed", FINAL)),
        ("timeout_soft_fail", ("skipped", FINAL)),
        ("timeout_never_fail", ("skipped", FINAL)),
        ("execution_timeout", ("failed", RETRIED)),
        ("execution_timeout_soft_fail", ("failed", RETRIED)),
        ("execution_timeout_never_fail", ("skipped", FINAL)),
    ],
)
def test_a_deferred_wait_ends_as_the_table_of_outcomes_says(outcome, task_id, end):
    assert outcome.task(task_id).ended == end


def test_a_wait_survives_the_death_of_its_triggerer(airflow, sim, forget):
    sim.fill()
    forget()
    run = airflow.trigger("one_wait")
    airflow.wait_until_logged(run, "wait", "Waiting for")
    airflow.kill("triggerer")

    logged = airflow.task_log(run, "wait").count("Waiting for")
    airflow.start_component("triggerer")
    airflow.wait_until_logged(run, "wait", "Waiting for", times=logged + 1)
    assert airflow.outcome(run).task("wait").state == "deferred"
    sim.end_all_jobs()
    assert airflow.wait_for(run).task("wait").ended == ("success", 1)
    assert airflow.worker_runs(run) == {("wait", -1): 2}  # to defer, and to resume


def test_a_server_that_repeats_the_token_does_not_get_it_into_any_file(airflow, sim, forget, secret):
    sim.fill()
    forget()
    sim.inject(faults.echo_token(500), times=None)
    run = airflow.trigger("one_wait")
    airflow.wait_until_logged(run, "wait", "Refused: Authorization")
    sim.clear_faults()
    sim.inject(faults.echo_token(401))
    sim.end_all_jobs()

    assert airflow.wait_for(run).task("wait").ended == ("success", 1)
    assert airflow.files_containing(run.run_id)
    assert airflow.files_containing(secret) == []
