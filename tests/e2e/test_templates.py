"""Parameters that the triggerer renders, where Airflow can do that."""

from airflow_pixverse.capabilities import RENDERS_IN_TRIGGERER


def test_a_wait_with_templates_begins_in_the_triggerer_where_that_renders_them(airflow, apart):
    apart.start_job("a-2@example.com")
    run = airflow.trigger("templated", {"email": "A-2@example.com"})

    outcome = airflow.wait_for(run)
    assert outcome.task("wait").ended == ("success", 1)
    assert [account["email"] for account in outcome.task("wait").xcom] == ["a-2@example.com"]
    # To resume it; and where the wait begins on a worker, to defer.
    assert airflow.worker_runs(run) == {("wait", -1): 1 if RENDERS_IN_TRIGGERER else 2}


def test_a_name_that_is_not_defined_fails_the_task_as_on_a_worker(airflow, sim):
    run = airflow.trigger("templated", {"other": "a-2@example.com"})

    assert airflow.wait_for(run).task("wait").ended == ("failed", 1)
    assert sim.free() == 6
