"""Tasks after a wait that began and ended in the triggerer."""


def test_tasks_downstream_get_the_accounts_as_from_a_worker(airflow, sim, forget):
    sim.start_job("a-2@example.com")
    forget()
    run = airflow.trigger("downstream")

    outcome = airflow.wait_for(run)
    assert outcome.task("wait").ended == ("success", 1)
    assert [account["email"] for account in outcome.task("wait").xcom] == [
        "a-1@example.com",
        "a-2@example.com",
    ]
    assert outcome.task("use").xcom == "a-1@example.com"
    if airflow.major >= 3:
        assert [each.xcom for each in outcome.mapped("use_each")] == ["a-1@example.com", "a-2@example.com"]
    assert ("wait", -1) not in airflow.worker_runs(run)
